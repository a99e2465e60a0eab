"""A compiled kernel library, called by pointers: torch tensors on a GPU, numpy arrays on the host.

The struct mirrors `csrc/tile_attention.h`; its size travels with each call, so that a library built
from another version refuses.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ExecutorError
from export.plugin.shared_library import Kernel
from export.plugin.tile_attention import ANCHOR_LIMIT, CLICK_LIMIT, TileSettings

if TYPE_CHECKING:
    from torch import Tensor

POINTERS = (
    "query",
    "v",
    "u",
    "channels",
    "confidence",
    "boxes",
    "anchors",
    "prior_xy_px",
    "prior_inv_var",
    "box_xyxy_px",
    "confidence_logit",
    "peak_similarity",
    "second_peak_similarity",
    "cell_similarity",
    "attention",
    "workspace",
)
SIZES = ("windows", "clicks", "embedding", "hidden", "rows", "columns", "anchor_count")
REFUSALS = {-1: f"a size out of range (1 to {CLICK_LIMIT} clicks, 1 to {ANCHOR_LIMIT} anchors)"}


class Arguments(ctypes.Structure):
    """`TileAttentionArguments` of the header."""

    _fields_ = (
        ("struct_bytes", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in POINTERS),
        *((name, ctypes.c_int32) for name in (*SIZES, "half", "min_max")),
        *(
            (name, ctypes.c_float)
            for name in (
                "gate_offset",
                "gate_slope",
                "stride_px",
                "log_size_limit",
                "click_var",
                "centre_var",
                "floor_var_px2",
            )
        ),
    )


class KernelLibrary:
    """The shared library of `tilefix plugin build`, or the host's imitation of it.

    Raises:
        ExecutorError: the file is missing, or is not such a library.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kernel = Kernel(path, "tile attention", Arguments, REFUSALS)
        self._kernel.workspace_bytes.argtypes = (ctypes.c_int32,) * 3

    @property
    def has_plugin(self) -> bool:
        """Whether TensorRT's plugin is in it, and its self-test."""
        return self._kernel.has_plugin

    def workspace_bytes(self, windows: int, clicks: int, cells: int) -> int:
        """Size of the scratch memory of one call."""
        return int(self._kernel.workspace_bytes(windows, clicks, cells))

    def launch(
        self,
        pointers: dict[str, int],
        sizes: dict[str, int],
        settings: TileSettings,
        half: bool,
        stream: int = 0,
        through_plugin: bool = False,
    ) -> None:
        """Enqueue one call.

        Args:
            pointers: addresses by the names of `POINTERS`; attention may be 0.
            sizes: by the names of `SIZES`.
            settings: the variant.
            half: query, v and u are float16, not float32.
            stream: a CUDA stream's handle.
            through_plugin: as of `Kernel.launch`.

        Raises:
            ExecutorError: the library refused, a launch failed, or the library has no plugin.
        """
        arguments = Arguments(struct_bytes=ctypes.sizeof(Arguments), half=half)
        for name, value in {**pointers, **sizes}.items():
            setattr(arguments, name, value)
        for name in TileSettings.__dataclass_fields__:
            setattr(arguments, name, getattr(settings, name))
        self._kernel.launch(arguments, stream, through_plugin)

    def __call__(
        self,
        query: Tensor,
        v: Tensor,
        u: Tensor,
        head: tuple[Tensor, Tensor, Tensor, Tensor],
        prior_xy_px: Tensor,
        prior_inv_var: Tensor,
        settings: TileSettings,
        outputs: tuple[Tensor | None, ...],
        workspace: Tensor,
        stream: int = 0,
        through_plugin: bool = False,
    ) -> None:
        """Run on torch tensors, contiguous and of one device; shapes as in the header.

        Args:
            query: [N, D], or [windows, N, D] with the window first everywhere.
            v: [D, Hg, Wg].
            u: [C, Hg, Wg].
            head: channels, confidence, boxes, anchors; float32.
            prior_xy_px: [N, 2] float32.
            prior_inv_var: [N] float32.
            settings: the variant.
            outputs: in the order of `OUTPUTS`, float32; the last may be None.
            workspace: at least `workspace_bytes` of any type.
            stream: a CUDA stream's handle.
            through_plugin: as of `launch`.
        """
        tensors = (query, v, u, *head, prior_xy_px, prior_inv_var, *outputs, workspace)
        if not all(t is None or t.is_contiguous() for t in tensors):
            raise ExecutorError(
                "a tile attention was given a tensor that is not contiguous",
                expected="contiguous tensors",
                found=", ".join(str(t.stride()) for t in tensors if t is not None),
                do="call .contiguous() on them",
            )
        rows, columns = v.shape[-2:]
        values = (
            query.shape[0] if query.dim() == 3 else 1,
            query.shape[-2],
            query.shape[-1],
            u.shape[-3],
            rows,
            columns,
            head[1].shape[0],
        )
        self.launch(
            {k: 0 if t is None else t.data_ptr() for k, t in zip(POINTERS, tensors, strict=True)},
            dict(zip(SIZES, values, strict=True)),
            settings,
            half=query.element_size() == 2,
            stream=stream,
            through_plugin=through_plugin,
        )
