"""The labels that INT8 shall be judged on, opened before the hours that come before the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.bundle import Bundle
from edge.errors import DataError

_PICTURES = ("frame", "window")  # of each sample


def check_labels(
    bundle: Bundle,
    samples: Sequence[Path],
    every: int,
    pairs: Sequence[Path],
    images: Path | None,
) -> None:
    """Refuse labels that the judge would refuse.

    Every list is read and every picture looked for; of each folder of samples one is decoded.

    Args:
        bundle: that is calibrated.
        samples: folders of `tilefix datasets render`.
        every: take one of so many samples of each folder.
        pairs: files of labelled frames.
        images: folder of the pairs' images; None: beside the file, or $TILEFIX_DATA.

    Raises:
        DataError: a folder without samples, a sample without its pictures, or windows of another
            size than the bundle's.
        CalibrationError: no sample has a click on the map.
        PairsError: a broken file, or a map or an image that is not there.
        MissingLibraryError: torch is not installed, which reads samples.
    """
    from calibration.judging.held_out import open_held_out
    from calibration.judging.real_frames import open_labelled

    _check_listed(bundle, samples)
    seen: set[Path] = set()
    for sample in open_held_out(samples, every):
        folder, line = sample.folder, sample.folder.lines[sample.index]
        whole = all((folder.path / f"{line.id}_{kind}.jpg").is_file() for kind in _PICTURES)
        if folder.path not in seen or not whole:
            _check_window(bundle, folder.path, sample.read().window.shape)  # names what is missing
            seen.add(folder.path)
    for site in open_labelled(bundle, pairs, images):
        for frame in site.pairs.frames:
            if frame.clicks:
                site.pairs.locate(frame.file)


def _check_listed(bundle: Bundle, samples: Sequence[Path]) -> None:
    """What `PairFolder.open` refuses too, with advice that fits a judge."""
    if not samples:
        return
    from training.datasets.pair_folder import LISTING

    for folder in samples:
        if not (folder / LISTING).is_file():
            raise DataError(
                f"{folder} holds no rendered samples",
                expected=f"a file {LISTING}, as `tilefix datasets render` writes it",
                found="no such file",
                do=_render(bundle),
            )


def _check_window(bundle: Bundle, folder: Path, shape: tuple[int, ...]) -> None:
    window = bundle.manifest.window
    if shape[:2] != (window.height_px, window.width_px):
        raise DataError(
            f"the samples in {folder} have windows of another size than the bundle's",
            expected=f"{window.width_px} x {window.height_px} px",
            found=f"{shape[1]} x {shape[0]} px",
            do=_render(bundle),
        )


def _render(bundle: Bundle) -> str:
    side_px = bundle.manifest.window.width_px
    return (
        f"tilefix datasets render --kind scenes --window-px {side_px} --count 330 --out NEW_FOLDER"
    )
