"""What was run, down to the sha256 of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.record.lines import BundleFacts

if TYPE_CHECKING:
    from edge.localizer import Localizer


def bundle_facts(localizer: Localizer, threads: int) -> BundleFacts:
    """The facts of an opened bundle, of the files and engines that this localizer uses.

    Files are read from the disk again, so that one that was changed since shows.
    """
    raise NotImplementedError


def check_unchanged(localizer: Localizer, facts: BundleFacts) -> None:
    """Compare the bundle on the disk with the facts at the start of a run.

    Raises:
        BenchmarkError: a file or engine has changed, with each name and both sha256.
    """
    raise NotImplementedError
