"""Published peaks of Jetson boards, and what they would let a graph reach: predictions, no more.

Peaks are those of the GPU alone, dense, at the clock of the stated power mode. NVIDIA's headlines
count structured sparsity and the DLAs; both are left out here.

* Orin Nano 8GB, Orin NX 16GB and AGX Orin 64GB: tensor cores x clock x 512 FLOP for FP16, twice
  that for INT8, which is half of the "sparse" figures of NVIDIA's data sheets of the Orin Nano, the
  Orin NX and the AGX Orin series ("Super" modes: their revisions for JetPack 6.2). Memory bandwidth
  is from the same data sheets.
* Thor (T5000): NVIDIA's data sheet of the Jetson Thor series gives 2070 TFLOPS of sparse FP4 and
  273 GB/s. FP8 dense is a quarter of it, FP16 dense an eighth. INT8 is taken to run as FP8 does, as
  on Blackwell in data centres: an assumption.

Assumed shares of these peaks: published runs reach 35 % (YOLO11x FP16 on Orin Nano and NX,
ultralytics' Jetson guide) to 43 % (NanoSAM's encoder FP16 on AGX Orin, its README) of FP16, and
28 % of INT8 (YOLO11x again); 65 % of the bandwidth is what copies commonly reach. For Thor nothing
comparable is published: it gets the shares of Orin Nano and NX. The traffic between layers is taken
to go through memory in full; a cache that holds a part of it (4 MB on Orin, 32 MB on Thor) makes a
run faster than predicted, launches of kernels make it slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.precisions import INT8, short_name


class Bound(str, Enum):
    """What limits a graph on a board."""

    COMPUTE = "matrix rate"
    MEMORY = "memory bandwidth"


@dataclass(frozen=True, slots=True)
class Board:
    """A board in one power mode: published peaks, and the shares that are assumed of them."""

    name: str
    mode: str
    fp16_tflops: float  # dense; two for each multiply-accumulate
    int8_tops: float  # dense
    memory_gb_s: float
    fp16_share: float
    int8_share: float
    memory_share: float = 0.65


BOARDS = (
    Board("Jetson Orin Nano 8GB", "MAXN SUPER, GPU at 1020 MHz", 16.7, 33.4, 102.0, 0.35, 0.28),
    Board("Jetson Orin NX 16GB", "MAXN SUPER, GPU at 1173 MHz", 19.2, 38.4, 102.4, 0.35, 0.28),
    Board("Jetson AGX Orin 64GB", "MAXN, GPU at 1300 MHz", 42.6, 85.2, 204.8, 0.43, 0.34),
    Board("Jetson Thor T5000", "MAXN, 130 W", 258.0, 517.0, 273.0, 0.35, 0.28),
)


def board_of(name: str) -> Board | None:
    """The board that a machine says it is, such as "NVIDIA Jetson Orin Nano Developer Kit Super".

    >>> board_of("NVIDIA Jetson AGX Orin Developer Kit").name
    'Jetson AGX Orin 64GB'
    """
    for words, board in zip(("Orin Nano", "Orin NX", "AGX Orin", "Thor"), BOARDS, strict=True):
        if words in name and "Jetson" in name:
            return board
    return None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a board might take for one run of a graph. Nothing of it was measured."""

    board: Board
    floor_ms: float  # no run can be faster: published peaks, compulsory bytes
    expected_ms: (
        float  # at the assumed shares, with the traffic between layers; launches come on top
    )
    bound: Bound  # of the expected time


def predict(
    board: Board, precision: str, macs: int, compulsory_bytes: int, layer_bytes: int
) -> Prediction | None:
    """Predict one run of a graph on a board; None: no peak is published for the precision.

    Args:
        board: one of BOARDS.
        precision: of the graph: "fp16", or a form of INT8, all of which counts at the INT8 rate.
        macs: multiply-accumulates.
        compulsory_bytes: weights, inputs and outputs.
        layer_bytes: the same and what layers write and read between them.
    """
    short = short_name(precision)
    if short not in ("fp16", INT8):
        return None
    peak, share = (
        (board.int8_tops, board.int8_share)
        if short == INT8
        else (board.fp16_tflops, board.fp16_share)
    )
    compute_ms = 2 * macs / (peak * 1e12) * 1e3
    compulsory_ms = compulsory_bytes / (board.memory_gb_s * 1e9) * 1e3
    layers_ms = layer_bytes / (board.memory_gb_s * board.memory_share * 1e9) * 1e3
    bound = Bound.COMPUTE if compute_ms / share >= layers_ms else Bound.MEMORY
    return Prediction(
        board,
        floor_ms=max(compute_ms, compulsory_ms),
        expected_ms=max(compute_ms / share, layers_ms),
        bound=bound,
    )


def shares(board: Board) -> str:
    """The assumption behind `expected_ms`, in words."""
    return (
        f"{board.fp16_share:.0%} of the FP16 peak, {board.int8_share:.0%} of the INT8 peak, "
        f"{board.memory_share:.0%} of the memory bandwidth"
    )
