"""Lists of annotations in `.pth` files, read without running anything that they contain.

A `.pth` file is a pickle, and a pickle can name any function to be called on loading. The files of
the published data sets hold lists of tuples of numbers and text, so nothing but that is let in:
torch's `weights_only` unpickler, which knows plain values and tensors, and on top of it the few
functions that build NumPy arrays and scalars of numbers or text.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge.errors import DataError, TilefixError

_REFUSED = re.compile(r"(?:nsupported (?:global: )?GLOBAL |but got <class ')([\w.]+)")
_REASON = re.compile(r"WeightsUnpickler error:\s+(.{1,100})")
_DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "U1", "S1"]
_WEB_PAGE = (b"<!doctype", b"<html")
_PICKLE = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))  # how each protocol begins
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # its magic number, as a pickle


def load_plain(path: Path, error: type[TilefixError] = DataError) -> Any:
    """The plain value in a file that `torch.save` wrote.

    Args:
        path: the file.
        error: what its faults are raised as.

    Raises:
        TilefixError: of that kind; no such file, a truncated one, other content, or one that asks
            for code to be run.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as fault:
        raise error(
            f"{path} cannot be read",
            expected="a file that torch.save wrote",
            found=f"{type(fault).__name__}: {fault.strerror}",
            do="check the path",
        ) from fault
    try:
        with torch.serialization.safe_globals(_numpy_builders()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice on pickles that are not its own
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # a damaged pickle may fail in any way, as an OSError too
        refused = _REFUSED.search(str(fault))
        if refused is not None:
            raise error(
                f"{path} holds more than plain values, and was not loaded: it could run code",
                expected="tensors, lists, tuples, numbers and text alone",
                found=f"a use of {refused[1]}",
                do="do not trust this file; take it from its authors again",
            ) from fault
        raise error(
            f"{path} cannot be read",
            expected="a file that torch.save wrote, whole",
            found=_describe(path, head, fault),
            do="download or copy the file again",
        ) from fault


def _numpy_builders() -> list[Any]:
    """What NumPy's pickles call for numbers and text, under the names of NumPy 1 and 2."""
    builders: list[Any] = [np.ndarray, np.dtype, *(type(np.dtype(code)) for code in _DTYPES)]
    for build in (np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]):
        cores = ("numpy.core", "numpy._core")
        builders += [(build, f"{core}.multiarray.{build.__name__}") for core in cores]
    return builders


def _describe(path: Path, head: bytes, fault: Exception) -> str:
    size = f"{path.stat().st_size} bytes"
    if head.lstrip().lower().startswith(_WEB_PAGE):
        return f"a web page of {size}, such as a download service shows before the file"
    if head.startswith(b"PK"):  # a ZIP archive, which is what torch.save writes
        return f"a broken archive of {size}, most likely truncated"
    if head.startswith(_PICKLE) and not head.startswith(_OLD_TORCH):
        return f"a pickle that is not torch's, of {size}"
    reason = _REASON.search(str(fault))  # torch's own text tells how to switch the guard off
    return f"{size} of something else ({reason[1] if reason else type(fault).__name__})"
