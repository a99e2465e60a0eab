"""torchvision beside a torch whose C++ operators it does not match.

torchvision (and timm, which imports it) registers fake kernels for `torchvision::nms` and
`torchvision::qnms` on import, and fails where its compiled operators do not load: beside a CPU
build of torch, for one. The two schemas are all that the import needs, so they are declared first.
Such an operator has no kernel: nothing in this project may call `torchvision.ops.nms`.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

import torch

from edge.errors import MissingLibraryError

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_NAMES = ("nms", "qnms")


@functools.cache
def import_torchvision() -> ModuleType:
    """Return the module `torchvision`, importable whether or not its C++ operators load.

    Call it before the first import of torchvision or timm.

    Raises:
        MissingLibraryError: torchvision is not installed.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise MissingLibraryError(
            "torchvision is not installed",
            expected="the extra 'train'",
            found="no module torchvision",
            do="pip install 'tilefix[train]' (torch, torchvision and timm in one resolve)",
        )
    if not _load_operators(Path(spec.origin).parent):
        for name in _NAMES:
            if not hasattr(torch.ops.torchvision, name):
                torch.library.define(f"torchvision::{name}", _SCHEMA)
    import torchvision

    return torchvision


def _load_operators(folder: Path) -> bool:
    """Load torchvision's compiled operators; loading them a second time, on import, does nothing.

    A schema must not be declared before them: the library would then be refused as a duplicate.
    """
    for library in sorted(folder.glob("_C*")):
        try:
            torch.ops.load_library(str(library))
        except OSError:  # built for another torch; the import itself ignores it in the same way
            continue
        return hasattr(torch.ops.torchvision, "nms")
    return False
