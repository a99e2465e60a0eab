"""The comparison of quantisers: what is counted and judged, and that a refusal is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.studies import quantizers
from benchmarks.studies.quantizer_boxes import candidate_of, cosine, summary
from benchmarks.studies.quantizer_feeds import part_of
from benchmarks.studies.quantizer_made import counts, line_of, message_of, run_tool
from benchmarks.studies.quantizer_tools import (
    METHODS,
    NVIDIA,
    ORT,
    OURS,
    Source,
    command_of,
    readers,
)
from calibration.judging.scores import LocatedClick
from calibration.quantization.policy import sort_convolutions
from calibration.quantization.qdq import Form, quantize_graph
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from tests.support.made_selection import made_selection
from tests.support.small_networks import observed_amax, small_network

SOURCE = Source(LOCALIZER, "fp32", Path("float.onnx"), Path("feeds"))


def quantised_network(path: Path) -> Path:
    model = small_network()
    chosen = {each.name for each in sort_convolutions(model).eligible}
    onnx.save(quantize_graph(model, observed_amax(), chosen, Form.TENSORRT), str(path))
    return path


def test_cosine_is_that_of_vectors() -> None:
    one = np.array([[3.0, 0.0], [0.0, 4.0]], np.float16)
    assert cosine(one, 2 * one) == pytest.approx(1)
    assert cosine(one, np.array([[4.0, 0], [0, -3.0]])) == pytest.approx(0)


def test_a_tool_that_makes_nothing_refused(tmp_path) -> None:
    work = "sum(n * n for n in range(5_000_000))"  # tenths of a second, which the record rounds to
    command = [sys.executable, "-c", f"{work}; raise SystemExit('no such operator')"]
    found = run_tool("tool", "max", SOURCE, command, tmp_path / "none.onnx")
    assert found.refused == "no such operator" and found.convolutions == 0
    assert "refused: no such operator" in line_of(found)
    assert found.processor_s > 0 and found.peak_mb > 1


def test_the_first_line_of_an_exception_is_the_refusal() -> None:
    code = "import sys; print('a warning', file=sys.stderr); raise ValueError('one\\ntwo')"
    command = [sys.executable, "-c", code]
    found = run_tool("tool", "max", SOURCE, command, Path("/nowhere/none.onnx"))
    assert found.refused == "ValueError: one"
    assert message_of("") == "no file, and no message"


def test_a_graph_that_does_not_load_is_refused(tmp_path) -> None:
    target = tmp_path / "made.onnx"
    code = f"open({str(target)!r}, 'wb').write(b'no graph')"
    found = run_tool("tool", "max", SOURCE, [sys.executable, "-c", code], target)
    assert found.refused.startswith("writes a graph that does not load: ")
    assert str(tmp_path) not in found.refused


def test_quantised_convolutions_are_counted(tmp_path) -> None:
    made, target = quantised_network(tmp_path / "made.onnx"), tmp_path / "target.onnx"
    copy = f"import shutil; shutil.copy({str(made)!r}, {str(target)!r})"
    found = run_tool("tool", "max", SOURCE, [sys.executable, "-c", copy], target)
    assert (found.quantised_convolutions, found.convolutions) == (5, 6)
    assert found.quantize_nodes == 5 and found.file_bytes == target.stat().st_size
    assert found.layers == "5 of 6" and "5 of 6 convolutions, 5 Q" in line_of(found)


def test_a_cast_behind_a_dequantised_value_is_passed_and_float_weights_are_not(tmp_path) -> None:
    model = onnx.load(str(quantised_network(tmp_path / "made.onnx")))
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    quantised = next(n for n in convolutions if n.input[1].endswith(".dequantized"))
    cast = onnx.helper.make_node("Cast", [quantised.input[0]], ["cast"], to=1)
    quantised.input[0] = "cast"
    model.graph.node.append(cast)
    onnx.save(model, str(tmp_path / "cast.onnx"))
    assert counts(tmp_path / "cast.onnx")[:2] == (5, 6)
    quantised.input[1] = "nothing"
    onnx.save(model, str(tmp_path / "floats.onnx"))
    assert counts(tmp_path / "floats.onnx")[:2] == (4, 6)


def test_every_tool_is_run_by_its_own_interpreter() -> None:
    for tool in (OURS, ORT):
        command = command_of(tool, METHODS[tool][0], SOURCE, Path("to.onnx"), None)
        assert command[0] == sys.executable
        assert command[3:] == [tool, METHODS[tool][0], "float.onnx", "feeds", "to.onnx"]
    command = command_of(NVIDIA, "max", SOURCE, Path("to.onnx"), "/env/bin/python")
    assert command[0] == "/env/bin/python" and command[3:] == [
        "max", "float.onnx", "feeds", "to.onnx",
    ]  # fmt: skip
    assert "high_precision_dtype='fp32'" in command[2]
    compile(command[2], "script", "exec")


def test_feeds_are_read_in_their_order(tmp_path) -> None:
    for number in (1, 0, 2):
        np.savez(tmp_path / f"{number:04d}.npz", frame=np.full((2, 2), number, np.uint8))
    assert [int(read()["frame"][0, 0]) for read in readers(tmp_path)] == [0, 1, 2]


def test_windows_that_features_are_compared_on_have_given_no_range(tmp_path) -> None:
    folder = made_selection(tmp_path, frames=6, windows=5)
    part = part_of(folder, 3, 2, 2)
    assert [len(part.seen.frames), len(part.seen.windows), len(part.judged)] == [3, 2, 2]
    seen = [folder.read(each) for each in part.seen.windows]
    assert not any(np.array_equal(a, b) for a in seen for b in part.judged)
    assert part.seen.selection.digest() != folder.selection.digest()


def test_a_candidate_has_the_quantised_graphs_beside_the_float_ones(tmp_path) -> None:
    bundle = Bundle.open(shipped_bundle_path())
    graphs = {kind: tmp_path / f"{kind}.onnx" for kind in (ENCODER, LOCALIZER)}
    for kind, path in graphs.items():
        path.write_bytes(kind.encode())
    made = candidate_of(bundle, graphs, tmp_path / "candidate")
    assert made.graph(ENCODER, "int8+fp16").read_bytes() == ENCODER.encode()
    assert made.graph(LOCALIZER, "int8+fp16").read_bytes() == LOCALIZER.encode()
    assert made.encoder_id("fp32") == bundle.encoder_id("fp32")


def test_boxes_are_summed_up_by_the_judges_measures() -> None:
    clicks = [
        LocatedClick(0, True, (0.6, 0.6), 0.95),
        LocatedClick(0, True, (0.6, 0.3), 0.7),
        LocatedClick(1, True, (0.4, 0.1), 0.2),
        LocatedClick(1, False, (0.0, 0.0), 0.75),
    ]
    found = summary(clicks)
    assert (found["samples"], found["clicks_on_map"], found["clicks"]) == (2, 3, 4)
    assert found["box_iou_mean"] == pytest.approx(0.65)
    assert found["box_iou_median"] == pytest.approx(0.725)
    assert found["acc@0.25"] == [1.0, 0.6667] and found["acc@0.5"] == [0.6667, 0.3333]
    assert found["acc@0.25_change_points"]["mean"] == pytest.approx(-33.333)
    low, high = found["acc@0.25_change_points"]["interval_95"]
    assert low == -100.0 and high == 0.0


def test_the_help_names_every_option_and_where_modelopt_lives(capsys) -> None:
    with pytest.raises(SystemExit):
        quantizers.arguments().parse_args(["--help"])
    text = capsys.readouterr().out
    for option in ("--selection", "--samples", "--every", "--histograms", "--modelopt", "--work"):
        assert option in text
    assert "nvidia-modelopt[onnx]" in text
