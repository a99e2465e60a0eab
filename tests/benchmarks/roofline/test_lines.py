"""Lines of the roofline: bounds, what is unknown and why, and predictions that say so."""

from __future__ import annotations

import builtins
import dataclasses

import msgspec
import pytest

from benchmarks.record.lines import RooflineLine, Unknown
from benchmarks.roofline.boards import BOARDS, Bound, predict, shares
from benchmarks.roofline.counts import GraphCounts
from benchmarks.roofline.lines import (
    NOT_RUN,
    Limits,
    MeasuredGraph,
    bound_ms,
    machine_limits,
    roofline_lines,
)
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.errors import BenchmarkError

LIMITS = Limits(10.0, 50.0)
COUNTS = GraphCounts(5_000_000_000, 60_000_000, 30_000_000, 10_000_000, 400_000_000)
MEASURED = (MeasuredGraph(ENCODER, 0, 500.0), MeasuredGraph(LOCALIZER, 8, 80.0))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(shipped_bundle_path())


def test_the_bound_is_the_longer_of_both_terms():
    assert bound_ms(COUNTS, Limits(10.0, 50.0)) == pytest.approx(100.0)  # 5 GMAC at 50 a second
    assert bound_ms(COUNTS, Limits(0.5, 50.0)) == pytest.approx(200.0)  # 100 MB at 0.5 GB/s
    why = Unknown("no")
    assert bound_ms(COUNTS, Limits(why, 50.0)) == why and bound_ms(COUNTS, Limits(1.0, why)) == why


def test_each_graph_has_a_line_in_what_ran_and_in_what_did_not(bundle):
    lines = roofline_lines("0" * 16, bundle, "fp32", MEASURED, limits=LIMITS)
    assert [(x.precision, x.graph, x.clicks) for x in lines] == [
        ("fp32", ENCODER, 0),
        ("fp32", LOCALIZER, 8),
        ("fp16", ENCODER, 0),
        ("fp16", LOCALIZER, 8),
    ]
    ran, other = lines[1], lines[3]
    assert ran.fraction == pytest.approx(ran.bound_ms / 80.0)
    assert ran.bound_ms == pytest.approx(ran.macs / 50e9 * 1e3)
    assert other.measured_ms == other.fraction == other.copy_gb_s == Unknown(NOT_RUN)
    assert other.compulsory_bytes < ran.compulsory_bytes < ran.layer_bytes
    for each in lines:
        assert msgspec.json.decode(msgspec.json.encode(each), type=RooflineLine) == each


def test_the_attention_map_that_flight_does_not_ask_for_is_no_traffic(bundle):
    line = roofline_lines("0" * 16, bundle, "fp16", MEASURED, limits=LIMITS)[1]
    from benchmarks.roofline.counts import count_graph

    whole = count_graph(bundle.graph(LOCALIZER, "fp16"), 8)
    maps, vectors = 8 * 128 * 128 * 4, 8 * 128 * 4
    assert whole.compulsory_bytes - line.compulsory_bytes == maps + vectors


def test_a_gpu_has_no_limits_here_and_says_why():
    found = machine_limits("tensorrt", "fp16", 2)
    assert isinstance(found.copy_gb_s, Unknown) and isinstance(found.matrix_gmac_s, Unknown)
    assert "published peaks" in found.copy_gb_s.reason


def test_without_onnx_the_line_says_what_to_install(bundle, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    (line, *_) = roofline_lines("0" * 16, bundle, "fp32", MEASURED)
    for field in (
        line.macs,
        line.compulsory_bytes,
        line.matrix_gmac_s,
        line.bound_ms,
        line.fraction,
    ):
        assert isinstance(field, Unknown) and "pip install 'tilefix[export]'" in field.reason
    assert line.measured_ms == 500.0


def test_a_graph_that_cannot_be_counted_does_not_end_the_run(bundle):
    lines = roofline_lines("0" * 16, bundle, "int8+fp16", MEASURED, limits=LIMITS)
    assert isinstance(lines[0].macs, Unknown) and "no file" in lines[0].macs.reason
    assert isinstance(lines[0].fraction, Unknown) and lines[2].macs > 0


def test_an_unknown_graph_is_a_mistake(bundle):
    with pytest.raises(BenchmarkError, match="no graph decoder"):
        roofline_lines("0", bundle, "fp32", [MeasuredGraph("decoder", 1, 1.0)], limits=LIMITS)


# --- predictions ---------------------------------------------------------------------------------


def test_peaks_are_those_of_the_tensor_cores_at_the_stated_clock():
    """512 FLOP of FP16 a clock of each tensor core of Ampere, and twice that of INT8."""
    cores = {"Nano": (32, 1.020), "NX": (32, 1.173), "AGX Orin": (64, 1.300)}
    for word, (count, ghz) in cores.items():
        (board,) = (each for each in BOARDS if word in each.name)
        assert board.fp16_tflops == pytest.approx(count * ghz * 0.512, rel=0.005)
        assert board.int8_tops == pytest.approx(2 * board.fp16_tflops, rel=0.01)
        assert f"{round(1000 * ghz)} MHz" in board.mode
    (thor,) = (each for each in BOARDS if "Thor" in each.name)
    assert thor.fp16_tflops == pytest.approx(2070 / 8, rel=0.005)


def test_a_prediction_is_the_larger_term_at_the_assumed_shares():
    board = dataclasses.replace(
        BOARDS[0],
        fp16_tflops=10,
        int8_tops=20,
        memory_gb_s=100,
        fp16_share=0.5,
        int8_share=0.25,
        memory_share=0.5,
    )
    found = predict(board, "fp16", 5_000_000_000, 100_000_000, 200_000_000)
    assert found.floor_ms == pytest.approx(1.0) and found.bound is Bound.MEMORY
    assert found.expected_ms == pytest.approx(4.0)  # 200 MB at 50 GB/s; 2 ms of arithmetic
    whole = predict(board, "int8+fp16", 50_000_000_000, 100_000_000, 200_000_000)
    assert whole.bound is Bound.COMPUTE and whole.expected_ms == pytest.approx(20.0)
    assert "50% of the FP16 peak" in shares(board)


def test_float32_is_predicted_on_no_board():
    assert predict(BOARDS[0], "fp32", 1, 1, 1) is None


@pytest.mark.parametrize("board", BOARDS, ids=lambda each: each.name)
def test_nothing_is_expected_below_its_floor(board):
    for precision in ("fp16", "int8"):
        for macs, size in ((10**9, 10**6), (10**6, 10**9)):
            found = predict(board, precision, macs, size, 3 * size)
            assert found.expected_ms > found.floor_ms > 0


def test_published_runs_are_predicted_within_their_order():
    """YOLO11x FP16, 640 px: 97.5 GMAC, 57 M weights: 32.9 ms on Orin Nano in its "Super" mode."""
    found = predict(BOARDS[0], "fp16", 97_450_000_000, 116_000_000, 116_000_000)
    assert found.expected_ms == pytest.approx(32.9, rel=0.1) and found.bound is Bound.COMPUTE
