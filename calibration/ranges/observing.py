"""Runs a graph over the images of a selection and counts: resumable, in shards, in one pass.

A shard's file is replaced by renaming, and says which images are in it. So after `kill -9` the same
command looks only at those that are not, at most some ten of them for a second time, and ends with
the same bytes: counts are whole numbers, and neither their order nor their grouping matters. Bytes
are equal as far as onnxruntime's numbers are: its version is part of the identity, the kind of
processor is not.

Two images are looked at at once: half of the observing runs on one thread whatever the session is
allowed, so two sessions' worth of work fill two cores better. Memory is that of two images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from calibration.ranges.histogram import HistogramBuilder, Scratch
from calibration.ranges.histogram_file import Identity, TensorHistograms, merged, remove_parts
from calibration.ranges.observer_graph import observer_graph
from calibration.ranges.observer_session import Observed, ObserverSession
from calibration.ranges.staleness import changes_between, stale
from calibration.ranges.work_folder import (
    ALL_NAME,
    ObserveOptions,
    claim,
    identity_of,
    read_identity,
    shard_name,
)
from edge.errors import CalibrationError, UsageError
from edge.types import Array

GROUP = 8  # images between two writes: some seconds of work, for some 20 MB
AT_ONCE = 2  # images
Progress = Callable[[int, int], None]  # images done and in all, of this shard


@dataclass(frozen=True, slots=True)
class Feed:
    """One image, not yet read: its name and hash, and how to get what the graph takes of it."""

    name: str
    sha256: str
    read: Callable[[], Mapping[str, Array]]


def observe(
    graph: Path,
    tensors: Sequence[str],
    feeds: Sequence[Feed],
    work: Path,
    options: ObserveOptions,
    progress: Progress | None = None,
) -> TensorHistograms:
    """Histograms of the wanted tensors over the images of one shard.

    Args:
        graph: an fp32 ONNX graph; the stem of its name is its kind.
        tensors: names of activations in it.
        feeds: all images, of all shards; shard i of n takes every n-th, beginning with i.
        work: the folder of this graph's histograms; made, or gone on with.
        options: see there.
        progress: called before the first and after every image.

    Raises:
        CalibrationError: a folder of another identity, a damaged file, an activation that is not
            finite (with the tensor and the image), no images, or tensors that are not there.
        UsageError: a shard that cannot be.
        OutputError: a full disk; what was done is kept.
        ExecutorError, MissingLibraryError: onnxruntime or onnx.
    """
    number, count = options.shard
    _check_shard(number, count)
    _check_feeds(feeds)
    identity = identity_of(graph, tensors, options)
    claim(work, identity)
    path = work / shard_name(number, count)
    remove_parts(path)
    wanted = feeds[number::count]
    state = _State.open(path, identity, tensors, {(x.name, x.sha256) for x in wanted})
    todo = [x for x in wanted if (x.name, x.sha256) not in state.images]
    if progress:
        progress(len(wanted) - len(todo), len(wanted))
    if todo:
        observer = observer_graph(graph, tensors, options.seed)
        at_once = min(AT_ONCE, options.threads)
        session = ObserverSession(observer, options.threads // at_once, options.provider)
        for done, (feed, seen) in enumerate(_observed(session, todo, at_once), 1):
            state.add(feed, seen)
            if done % GROUP == 0 or done == len(todo):
                state.histograms().write(path)
            if progress:
                progress(len(wanted) - len(todo) + done, len(wanted))
    elif not path.is_file():  # a shard without images
        state.histograms().write(path)
    return state.histograms()


def merge_shards(work: Path, count: int, feeds: Sequence[Feed]) -> TensorHistograms:
    """Put all shards of a folder together, and keep the result in it.

    Args:
        work: the folder.
        count: of shards.
        feeds: all images.

    Raises:
        CalibrationError: a shard is missing, damaged or unfinished, or shards do not fit together.
        OutputError: a full disk.
    """
    whole: TensorHistograms | None = None
    identity = read_identity(work)
    for number in range(count):
        shard = TensorHistograms.read(work / shard_name(number, count))
        changes = changes_between(
            msgspec.to_builtins(identity), msgspec.to_builtins(shard.identity)
        )
        if changes:
            raise stale(f"shard {number} is of something else", changes, "observe that shard anew")
        whole = shard if whole is None else merged(whole, shard)
    wanted = {(x.name, x.sha256) for x in feeds}
    if whole is None or set(whole.images) != wanted:
        there = set(whole.images) if whole else set()
        raise CalibrationError(
            f"the shards in {work} do not make up the selection",
            expected=f"{len(wanted)} images in {count} shards",
            found=f"{len(wanted - there)} are missing, {len(there - wanted)} are of no selection",
            do="run every shard to its end with the same selection",
        )
    whole.write(work / ALL_NAME)
    return whole


def _observed(
    session: ObserverSession, feeds: Sequence[Feed], at_once: int
) -> Iterator[tuple[Feed, Observed]]:
    """The images in their order, so many of them in work or waiting at any time."""

    def look(feed: Feed) -> Observed:
        return session.run(feed.name, feed.read())

    with ThreadPoolExecutor(at_once) as pool:
        running: deque[tuple[Feed, Future[Observed]]] = deque()
        try:
            for feed in feeds:
                if len(running) == at_once:
                    first, future = running.popleft()
                    yield first, future.result()
                running.append((feed, pool.submit(look, feed)))
            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:  # an error, or Ctrl-C: what has not begun shall not
            pool.shutdown(wait=False, cancel_futures=True)


class _State:
    """The counts of a shard while it runs."""

    def __init__(self, identity: Identity, builders: dict[str, HistogramBuilder]) -> None:
        self.images: set[tuple[str, str]] = set()
        self._identity, self._builders = identity, builders
        self._scratch = Scratch()

    @staticmethod
    def open(
        path: Path, identity: Identity, tensors: Sequence[str], wanted: set[tuple[str, str]]
    ) -> _State:
        """What a file holds, or nothing yet."""
        if not path.is_file():
            return _State(identity, {name: HistogramBuilder() for name in tensors})
        found = TensorHistograms.read(path)
        changes = changes_between(
            msgspec.to_builtins(found.identity), msgspec.to_builtins(identity)
        )
        if changes:
            raise stale(f"the histograms {path} are stale", changes, f"remove {path}")
        strangers = sorted(set(found.images) - wanted)
        if strangers:
            raise CalibrationError(
                f"the histograms {path} hold an image that is not wanted",
                expected=f"some of the {len(wanted)} images of this shard",
                found=f"{strangers[0][0]}, sha256 {strangers[0][1]}",
                do=f"remove {path} and run the same command again",
            )
        state = _State(identity, {k: HistogramBuilder(found.tensors[k]) for k in tensors})
        state.images = set(found.images)
        return state

    def add(self, feed: Feed, seen: Observed) -> None:
        """Count one image."""
        for builder, lowest, highest, sample in zip(
            self._builders.values(), seen.lowest, seen.highest, seen.samples, strict=True
        ):
            builder.add(float(lowest), float(highest), sample, self._scratch)
        self.images.add((feed.name, feed.sha256))

    def histograms(self) -> TensorHistograms:
        """The counts so far, not copied."""
        tensors = {name: builder.histogram() for name, builder in self._builders.items()}
        return TensorHistograms(self._identity, tuple(sorted(self.images)), tensors)


def _check_shard(number: int, count: int) -> None:
    if not 0 <= number < count:
        raise UsageError(
            "there is no such shard",
            expected="a shard i of n with 0 <= i < n",
            found=f"{number} of {count}",
            do="count the shards from 0",
        )


def _check_feeds(feeds: Sequence[Feed]) -> None:
    names = [x.name for x in feeds]
    if not names or len(set(names)) != len(names):
        raise CalibrationError(
            "there are no images to observe" if not names else "two images have one name",
            expected="at least one image, each with a name of its own",
            found=f"{len(names)} images, {len(set(names))} names",
            do="select frames and windows first",
        )
