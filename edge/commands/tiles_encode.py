"""`tilefix tiles encode`: the windows of a map, or one process's share of them, into a store."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.commands.executor_options import check_run, device_options, executor_options, tell
from edge.commands.options import THREADS
from edge.commands.progress import command_line, progress_bar

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.encoding import EncodeCount, WindowEncoder
    from edge.feature_shard import ShardRecord
    from edge.tiles.box import Box
    from edge.tiles.lattice import WindowPlace
    from edge.tiles.sharding import Shard
    from edge.tiles.window import PixelGrid

INTERRUPTED = 130
FOLDER = click.Path(path_type=Path, file_okay=False)
ANY_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--bundle", "bundle_path", type=FOLDER, help="Bundle; default: the shipped one.")
@click.option("--tiles", "map_path", type=ANY_PATH, required=True, help="The map.")
@click.option("--store", type=FOLDER, required=True, help="Folder of the store, new or begun.")
@click.option("--bbox", metavar="W,S,E,N", help="Only this part of the map, degrees.")
@click.option("--gsd-m", type=float, help="Metres per pixel; default: that of the bundle.")
@click.option(
    "--features",
    type=click.Choice(("float16", "int8")),
    default="float16",
    show_default=True,
    help="How the store holds them; int8 halves what the localizer reads.",
)
@click.option(
    "--shard",
    "shard_text",
    metavar="I/N",
    help="Only the I-th of N shares, into STORE/shard-I-of-N; 'env': as torchrun's RANK says.",
)
@executor_options
@click.option("--threads", type=THREADS, default=2, show_default=True)
def encode(
    bundle_path: Path | None,
    map_path: Path,
    store: Path,
    bbox: str | None,
    gsd_m: float | None,
    features: str,
    shard_text: str | None,
    executor: str,
    precision: str,
    device_backend: str | None,
    no_cuda_graphs: bool,
    threads: int,
) -> None:
    """Encode the windows of a map into a feature store. Run it again to go on after a stop.

    Several processes or machines share a map with --shard; tilefix tiles merge puts their stores
    together. On one machine: torchrun --nproc-per-node N --no-python tilefix tiles encode ...
    --shard env
    """
    from edge.bundle import Bundle, shipped_bundle_path
    from edge.encoding import BundleEncoder, EncodeCount, encode_windows
    from edge.feature_origin import FeatureOrigin
    from edge.feature_quantization import judged_note
    from edge.feature_shard import begin_shard
    from edge.precisions import graph_precision, judged_form_note
    from edge.tiles.box import parse_box
    from edge.tiles.opening import open_map
    from edge.tiles.sharding import parse_shard
    from edge.tiles.window import check_gsd

    if gsd_m is not None:
        check_gsd(gsd_m)
    box = None if bbox is None else parse_box(bbox)
    shard = None if shard_text is None else parse_shard(shard_text, os.environ)
    if shard is not None and shard_text == "env":
        _take_own_gpu(executor)
    folder = store if shard is None else shard.folder(store)
    resume = _resume_command(shard)
    bundle = Bundle.open(bundle_path or shipped_bundle_path())
    check_run(bundle, executor, precision)
    notes = [judged_form_note(bundle.manifest.scores, graph_precision(precision, executor))]
    if features == "int8":
        notes.append(judged_note(bundle.manifest.scores))
    told = [note for note in notes if note is not None]  # before hours of work
    tell(told)
    opened = open_map(map_path)
    more = _words(bbox=bbox, gsd_m=gsd_m, features=features, shard=shard_text)
    origin = FeatureOrigin(bundle, executor, precision, map_path, more)
    origin.check_begun(folder, opened.map_id, features)
    grid = opened.grid(bundle.manifest.window.gsd_m if gsd_m is None else gsd_m)
    places, total = _places(grid, box, bundle)
    window = bundle.manifest.window
    size_px = window.width_px, window.height_px
    of_all = ""
    if shard is not None:
        mine = [place for place in places if shard.holds(place)]
        places, of_all, total = iter(mine), f" of {total}, shard {shard}", len(mine)
    click.echo(f"{map_path}: {total} windows of {size_px[0]} px at {grid.gsd_m:.3g} m/px{of_all}")
    device = device_options(device_backend, no_cuda_graphs)
    encoder = BundleEncoder(bundle, executor, precision, threads, device, features)
    record = None
    if shard is None:
        _check_no_shard(folder)
    else:
        record = _record(shard, box, grid, opened.map_id, encoder, size_px, total)
        begin_shard(folder, record, resume)
    count = EncodeCount()
    try:
        with progress_bar("windows") as bar:
            task = bar.add_task(folder.name, total=total)

            def step(so_far: EncodeCount) -> None:
                nonlocal count
                count = so_far
                bar.update(task, completed=so_far.done)

            count = encode_windows(
                grid,
                opened.map_id,
                places,
                encoder,
                folder,
                window_px=size_px,
                resume_command=resume,
                progress=step,
                may_be_empty=shard is not None,
            )
    except KeyboardInterrupt:
        click.echo(f"stopped: {_summary(count)}; to go on: {resume}", err=True)
        sys.exit(INTERRUPTED)
    finally:
        opened.close()
    if record is not None:
        _finish(folder, record, count, resume)
    tell([note for note in encoder.notes if note not in told])
    click.echo(f"{folder}: {_summary(count)}")


def _places(grid: PixelGrid, box: Box | None, bundle: Bundle) -> tuple[Iterable[WindowPlace], int]:
    """The windows to encode, and how many they are."""
    from edge.tiles.lattice import all_windows, count_windows, in_bbox

    size_px = bundle.manifest.window.width_px
    if box is None:
        return all_windows(grid, size_px), count_windows(grid, size_px)
    return in_bbox(grid, *box, size_px), sum(1 for _ in in_bbox(grid, *box, size_px))


def _words(
    *, bbox: str | None, gsd_m: float | None, features: str, shard: str | None
) -> tuple[str, ...]:
    """Options that another store of the same windows needs as well."""
    return (
        *(() if bbox is None else (f"--bbox={bbox}",)),
        *(() if gsd_m is None else (f"--gsd-m={gsd_m}",)),
        *(() if features == "float16" else (f"--features={features}",)),
        *(() if shard is None else (f"--shard={shard}",)),
    )


def _record(
    shard: Shard,
    box: Box | None,
    grid: PixelGrid,
    map_id: str,
    encoder: WindowEncoder,
    window_px: tuple[int, int],
    windows: int,
) -> ShardRecord:
    """What the shard says of itself while it is not finished."""
    from edge.feature_header import stored_gsd_m
    from edge.feature_shard import WHOLE_MAP, ShardRecord

    return ShardRecord(
        number=shard.number,
        of=shard.of,
        area=WHOLE_MAP if box is None else str(box),
        model_id=encoder.model_id,
        map_id=map_id,
        gsd_m=stored_gsd_m(grid.gsd_m),
        zoom=grid.zoom,
        window_px=window_px,
        windows=windows,
    )


def _finish(folder: Path, record: ShardRecord, count: EncodeCount, resume: str) -> None:
    from msgspec.structs import replace

    from edge.feature_shard import write_shard

    stored = count.encoded + count.kept
    write_shard(folder, replace(record, done=True, stored=stored, empty=count.empty), resume)


def _check_no_shard(folder: Path) -> None:
    """A share must not grow into the whole map by leaving --shard out."""
    from edge.errors import FeatureStoreError
    from edge.feature_refusals import SHARD_NAME
    from edge.feature_shard import read_shard

    if (folder / SHARD_NAME).exists():
        raise FeatureStoreError(
            f"the folder {folder} holds a shard of a store",
            expected="the store of a whole map, or a new folder",
            found=f"shard {read_shard(folder).title}",
            do="give --shard again with the folder above this one, or choose another folder",
        )


def _take_own_gpu(executor: str) -> None:
    """Of several GPUs, this process sees only its own: said before CUDA is loaded."""
    from edge.tiles.sharding import own_gpu

    gpu = own_gpu(os.environ)
    if executor.startswith("tensorrt") and gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        click.echo(f"note: CUDA_VISIBLE_DEVICES={gpu}, by LOCAL_RANK of torchrun", err=True)


def _resume_command(shard: Shard | None) -> str:
    """The command of this process; for a shard of the environment, with its number."""
    text = command_line()
    if shard is None:
        return text
    return text.replace("--shard env", f"--shard {shard}").replace(
        "--shard=env", f"--shard={shard}"
    )


def _summary(count: EncodeCount) -> str:
    text = (
        f"{count.encoded} windows encoded, {count.kept} were there, {count.empty} without imagery"
    )
    return text + (f" ({count.redone} were corrupt and encoded again)" if count.redone else "")
