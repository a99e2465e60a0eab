"""Observes both graphs of a bundle on one selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.inputs import encoder_feeds, localizer_feeds, preprocessing
from calibration.ranges.observer_graph import needed_inputs
from calibration.ranges.observing import Feed, merge_shards, observe
from calibration.ranges.work_folder import ObserveOptions
from calibration.selection.record import SelectionFolder
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.errors import UsageError

KindProgress = Callable[[str, int, int], None]  # kind of the graph, images done and in all


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """How a bundle is observed."""

    seed: int = 0  # of samples, clicks and the choice of windows
    shard: tuple[int, int] = (0, 1)
    threads: int = 2
    provider: str = "cpu"  # or "cuda"


def observe_bundle(
    bundle: Bundle,
    folder: SelectionFolder,
    wanted: Mapping[str, Sequence[str]],
    work: Path,
    options: BundleOptions | None = None,
    progress: KindProgress | None = None,
) -> tuple[TensorHistograms, ...]:
    """Histograms of the wanted tensors of a bundle's fp32 graphs, or of one shard of the images.

    Args:
        bundle: an opened bundle.
        folder: an opened selection.
        wanted: kind of graph -> names of activations; a kind may be left out.
        work: gets a folder for each kind, and one for features where they are needed.
        options: see there.
        progress: called for every image.

    Raises:
        UsageError: a kind that there is none of.
        CalibrationError, OutputError, ExecutorError, MissingLibraryError: see `observe` and
            `calibration.ranges.inputs`.
    """
    chosen = options or BundleOptions()
    done = []
    for kind, tensors in wanted.items():

        def told(count: int, total: int, kind: str = kind) -> None:
            if progress:
                progress(kind, count, total)

        done.append(
            observe(
                bundle.graph(kind),
                tensors,
                feeds_of(bundle, folder, kind, tensors, work, chosen),
                work / kind,
                ObserveOptions(
                    selection_sha256=folder.selection.digest(),
                    preprocessing=preprocessing(chosen.seed),
                    seed=chosen.seed,
                    shard=chosen.shard,
                    threads=chosen.threads,
                    provider=chosen.provider,
                ),
                told,
            )
        )
    return tuple(done)


def merge_bundle(
    bundle: Bundle,
    folder: SelectionFolder,
    wanted: Mapping[str, Sequence[str]],
    work: Path,
    options: BundleOptions,
) -> tuple[TensorHistograms, ...]:
    """All shards of `observe_bundle` together; `options.shard` says of how many.

    Raises:
        CalibrationError, OutputError: see `merge_shards`.
    """
    count = options.shard[1]
    return tuple(
        merge_shards(work / kind, count, feeds_of(bundle, folder, kind, tensors, work, options))
        for kind, tensors in wanted.items()
    )


def feeds_of(
    bundle: Bundle,
    folder: SelectionFolder,
    kind: str,
    tensors: Sequence[str],
    work: Path,
    options: BundleOptions,
) -> tuple[Feed, ...]:
    """What the graph of this kind is fed.

    Raises:
        UsageError, CalibrationError, OutputError: see `observe_bundle`.
    """
    if kind == ENCODER:
        return encoder_feeds(folder)
    if kind != LOCALIZER:
        raise UsageError(
            f"there is no graph of the kind {kind!r} to find ranges of",
            expected=f"{ENCODER} or {LOCALIZER}",
            found=repr(kind),
            do="name the tensors of these two",
        )
    needs = needed_inputs(bundle.graph(kind), tensors)
    features = work / "features"
    return localizer_feeds(bundle, folder, needs, features, options.seed, options.threads)
