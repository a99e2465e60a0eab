"""The CrossAttention kernel of a compiled library, called with torch tensors of a GPU or the host.

The struct mirrors `csrc/cross_attention.h`; its size travels with each call, so that a library
built from another version refuses.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ExecutorError
from export.plugin.cross_attention import HEAD_WIDTH_LIMIT, check_shapes
from export.plugin.shared_library import Kernel

if TYPE_CHECKING:
    from torch import Tensor

POINTERS = (
    "query",
    "key",
    "value",
    "query_position",
    "key_position",
    "attended",
    "workspace",
)
SIZES = (
    "batch",
    "queries",
    "keys",
    "heads",
    "width",
    "query_position_rows",
    "key_position_rows",
    "half",
    "splits",
)
REFUSALS = {
    -1: "a size out of range (at least one token and head, at most 65535 of batch and heads, "
    f"1 to {HEAD_WIDTH_LIMIT} channels to a head)"
}
SPLITS = "tilefix_cross_attention_splits"


class Arguments(ctypes.Structure):
    """`CrossAttentionArguments` of the header."""

    _fields_ = (
        ("struct_bytes", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in POINTERS),
        *((name, ctypes.c_int32) for name in SIZES),
        ("scale", ctypes.c_float),
    )


class CrossAttentionLibrary:
    """The shared library of `tilefix plugin build`, or the host's imitation of it.

    Raises:
        ExecutorError: the file is missing, or is not such a library.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kernel = Kernel(path, "cross attention", Arguments, REFUSALS, SPLITS)
        self._kernel.workspace_bytes.argtypes = (ctypes.c_int32,) * 6
        self._splits = getattr(self._kernel.library, SPLITS)
        self._splits.argtypes, self._splits.restype = (ctypes.c_int32,) * 4, ctypes.c_int32

    @property
    def has_plugin(self) -> bool:
        """Whether TensorRT's plugin is in it, and its self-test."""
        return self._kernel.has_plugin

    def splits(self, batch: int, queries: int, keys: int, heads: int) -> int:
        """Parts that the keys are read in side by side, where a call does not say."""
        return int(self._splits(batch, queries, keys, heads))

    def workspace_bytes(
        self, batch: int, queries: int, keys: int, heads: int, width: int, splits: int = 0
    ) -> int:
        """Scratch memory of one call; with splits = 0 also of all with smaller sizes."""
        return int(self._kernel.workspace_bytes(batch, queries, keys, heads, width, splits))

    def launch(
        self,
        pointers: dict[str, int],
        sizes: dict[str, int],
        scale: float,
        stream: int = 0,
        through_plugin: bool = False,
    ) -> None:
        """Enqueue one call.

        Args:
            pointers: addresses by the names of `POINTERS`; 0 for positions that there are not.
            sizes: by the names of `SIZES`; splits is 0 unless tried.
            scale: of the products.
            stream: a CUDA stream's handle.
            through_plugin: as of `Kernel.launch`.

        Raises:
            ExecutorError: the library refused, a launch failed, or the library has no plugin.
        """
        given = Arguments(struct_bytes=ctypes.sizeof(Arguments), scale=scale)
        for name, value in {**pointers, **sizes}.items():
            setattr(given, name, value)
        self._kernel.launch(given, stream, through_plugin)

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_position: Tensor | None,
        key_position: Tensor | None,
        heads: int,
        scale: float,
        attended: Tensor,
        workspace: Tensor,
        stream: int = 0,
        splits: int = 0,
        through_plugin: bool = False,
    ) -> None:
        """Run on torch tensors, contiguous, of one device and type; shapes as of `cross_attention`.

        Args:
            query: [B, L, D] float16 or float32.
            key: [B, S, D].
            value: [B, S, D].
            query_position: [L or 1, D], or None.
            key_position: [S or 1, D], or None.
            heads: of the attention.
            scale: of the products.
            attended: [B, L, D], written.
            workspace: at least `workspace_bytes` of any type.
            stream: a CUDA stream's handle.
            splits: 0 lets the sizes decide.
            through_plugin: as of `launch`.

        Raises:
            ExecutorError: tensors that do not fit together or are not contiguous, or as `launch`.
        """
        tensors = (query, key, value, query_position, key_position, attended, workspace)
        given = [t for t in tensors if t is not None]
        positions = [None if p is None else p.shape for p in (query_position, key_position)]
        check_shapes(query.shape, key.shape, value.shape, heads, positions[0], positions[1])
        if not all(t.is_contiguous() and t.dtype == query.dtype for t in given[:-1]):
            raise ExecutorError(
                "a cross attention was given tensors that the kernel cannot read",
                expected="contiguous tensors of one type",
                found=", ".join(f"{t.dtype} {t.stride()}" for t in given),
                do="call .contiguous() on them, and convert them to the query's type",
            )
        values = (
            *query.shape[:2],
            key.shape[1],
            heads,
            query.shape[2],
            *(1 if p is None else p[0] for p in positions),
            int(query.element_size() == 2),
            splits,
        )
        self.launch(
            {k: 0 if t is None else t.data_ptr() for k, t in zip(POINTERS, tensors, strict=True)},
            dict(zip(SIZES, values, strict=True)),
            scale,
            stream,
            through_plugin,
        )
