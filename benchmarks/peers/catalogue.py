"""Which peers there are, and where each is made. Nothing of them is imported here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EAGER, COMPILED, ONNX = "torch eager", "torch.compile", "ONNX Runtime"
OPENCV = "OpenCV"
OURS = "lite"  # key of what all others are compared with


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to the same answer, in one runtime."""

    key: str  # for the command line of its process
    name: str  # for people
    runtime: str
    make: str  # module:function, called with a PeerRequest and `arguments`, gives a Way
    arguments: tuple[str, ...] = ()
    prepare: str = ""  # module:function, called with a folder and `arguments` in an own process
    quick: bool = False  # also part of a quick run

    def load(self, where: str) -> Callable[..., Any]:
        """The function that `make` or `prepare` names."""
        module, _, name = where.partition(":")
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return found


_WHOLE, _CACHED = "benchmarks.peers.published:", "benchmarks.peers.cached:"
_CLASSICAL, _SHIPPED = "benchmarks.peers.classical:", "benchmarks.peers.shipped:"


def _published(model: str, title: str) -> tuple[Peer, ...]:
    name = f"{title} as published"
    return (
        Peer(f"{model}-eager", name, EAGER, f"{_WHOLE}eager", (model,), quick=model == "detgeo"),
        Peer(f"{model}-compile", name, COMPILED, f"{_WHOLE}compiled", (model,)),
        Peer(f"{model}-onnx", name, ONNX, f"{_WHOLE}onnx", (model,), f"{_WHOLE}export"),
    )


PEERS = (
    Peer(OURS, "lite", ONNX, f"{_SHIPPED}alone", quick=True),
    Peer("lite-aligned", "lite with alignment", ONNX, f"{_SHIPPED}aligned", quick=True),
    *_published("detgeo", "DetGeo"),
    *_published("ocgnet", "OCGNet"),
    Peer(
        "ocgnet-cached",
        "OCGNet, cached and folded",
        EAGER,
        f"{_CACHED}eager",
        ("ocgnet",),
        quick=True,
    ),
    Peer(
        "ocgnet-cached-onnx",
        "OCGNet, cached and folded",
        ONNX,
        f"{_CACHED}onnx",
        ("ocgnet",),
        f"{_CACHED}export",
    ),
    Peer("sift", "SIFT + homography", OPENCV, f"{_CLASSICAL}sift", quick=True),
    Peer("xfeat", "XFeat + homography", EAGER, f"{_CLASSICAL}xfeat", quick=True),
    Peer("xfeat-glue", "XFeat + LighterGlue + homography", EAGER, f"{_CLASSICAL}lighter_glue"),
    Peer("disk-glue", "DISK + LightGlue + homography", EAGER, f"{_CLASSICAL}light_glue", ("disk",)),
    Peer("sift-glue", "SIFT + LightGlue + homography", EAGER, f"{_CLASSICAL}light_glue", ("sift",)),
)


def peer_of(key: str) -> Peer:
    """The peer of a key.

    Raises:
        KeyError: there is none.
    """
    return {peer.key: peer for peer in PEERS}[key]
