"""What the observer says against whole tensors of the same graph in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from observed_graph import draw, image_of

from calibration.ranges import observer_graph as observers
from calibration.ranges import sampling
from calibration.ranges.observer_graph import needed_inputs, observer_graph
from calibration.ranges.observer_session import ObserverSession
from calibration.ranges.sampling import drawn, places
from edge.errors import CalibrationError, ExecutorError, UsageError

WANTED = ("relu", "scaled", "per_click", "conv", "click")


@pytest.fixture
def small_sample(monkeypatch):
    """A sample smaller than the tensors of the small graph."""
    for module in (sampling, observers):
        monkeypatch.setattr(module, "SAMPLE", 500)
    return 500


def whole_tensors(path, names, image):
    """All values of these tensors, from the graph itself."""
    model = onnx.load(str(path))
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    takes = {x.name for x in session.get_inputs()}
    return session.run(list(names), {k: v for k, v in image.items() if k in takes})


@pytest.mark.parametrize("index", [0, 1, 2])  # one, two and three clicks
def test_small_tensors_leave_whole(tmp_path, index):
    path, image = draw(tmp_path / "graph.onnx"), image_of(index)
    session = ObserverSession(observer_graph(path, WANTED, 0), 1, "cpu")
    seen = session.run("image", image)
    made = [name for name in WANTED if name != "click"]
    wanted = dict(zip(made, whole_tensors(path, made, image), strict=True))
    wanted["click"] = image["click"]
    for name, low, high, sample in zip(
        WANTED, seen.lowest, seen.highest, seen.samples, strict=True
    ):
        np.testing.assert_allclose(sample, wanted[name].ravel(), rtol=1e-6, err_msg=name)
        assert (low, high) == (sample.min(), sample.max())


@pytest.mark.parametrize("index", [1, 2])
def test_large_tensors_leave_as_a_sample_wherever_their_size_is_known(
    tmp_path, small_sample, index
):
    path, image = draw(tmp_path / "graph.onnx"), image_of(index)
    session = ObserverSession(observer_graph(path, WANTED, 9), 1, "cpu")
    seen = session.run("image", image)
    u = drawn(9)
    for place, name in enumerate(WANTED[:4]):
        (whole,) = whole_tensors(path, [name], image)
        flat = whole.ravel()
        assert flat.size > small_sample
        np.testing.assert_allclose(seen.samples[place], flat[places(flat.size, u)], rtol=1e-6)
        assert seen.lowest[place] == pytest.approx(flat.min(), rel=1e-6)
        assert seen.highest[place] == pytest.approx(flat.max(), rel=1e-6)
    assert seen.samples[4].size == image["click"].size


def test_only_ancestors_and_needed_inputs_stay(tmp_path):
    path = draw(tmp_path / "graph.onnx")
    made = observer_graph(path, ["conv"], 0)
    assert made.inputs == ("image",) == needed_inputs(path, ["conv"])
    model = onnx.load_from_string(made.model)
    onnx.checker.check_model(model)
    assert "Relu" not in {node.op_type for node in model.graph.node}
    assert "unused" not in {x.name for x in model.graph.initializer}
    assert needed_inputs(path, ["per_click"]) == ("image", "click")
    assert needed_inputs(path, ["click"]) == ("click",)


def test_no_tensor_larger_than_a_sample_is_an_output(tmp_path, small_sample):
    path = draw(tmp_path / "graph.onnx")
    made = observer_graph(path, WANTED, 0)
    outputs = {x.name for x in onnx.load_from_string(made.model).graph.output}
    assert outputs == {"observed.lowest", "observed.highest", "observed.total", *made.samples}
    seen = ObserverSession(made, 1, "cpu").run("image", image_of(2))
    assert max(sample.size for sample in seen.samples) == small_sample


def test_what_observes_a_tensor_follows_what_makes_it(tmp_path):
    """So that the tensor can go before the next is made: memory is that of the graph."""
    model = onnx.load_from_string(observer_graph(draw(tmp_path / "g.onnx"), WANTED, 0).model)
    order = [name for node in model.graph.node for name in node.output]
    assert order.index("observed.3.sample") < order.index("relu")  # of conv


def test_float16_is_observed_as_float32(tmp_path):
    path = draw(tmp_path / "graph.onnx", half=True)
    seen = ObserverSession(observer_graph(path, ["halved"], 0), 1, "cpu").run("i", image_of(3))
    (whole,) = whole_tensors(path, ["halved"], image_of(3))
    assert whole.dtype == np.float16 and seen.samples[0].dtype == np.float32
    np.testing.assert_array_equal(seen.samples[0], whole.ravel().astype(np.float32))


@pytest.mark.parametrize("size", [1, 499, 500, 501, 4321, 1_000_003])
def test_places_take_one_value_of_each_piece(small_sample, size):
    found = places(size, drawn(1))
    assert len(found) == min(size, small_sample)
    edges = np.arange(len(found) + 1) * size / len(found)
    assert (found >= np.floor(edges[:-1])).all() and (found < edges[1:]).all()
    if size <= small_sample:
        np.testing.assert_array_equal(found, np.arange(size))


def test_another_seed_takes_other_places():
    assert (places(10**6, drawn(0)) != places(10**6, drawn(1))).mean() > 0.5
    np.testing.assert_array_equal(drawn(4), drawn(4))


@pytest.mark.parametrize(
    ("tensors", "found"),
    [
        (["conv", "nowhere"], "'nowhere'"),
        (["conv", "conv"], "'conv' twice"),
        (["weight"], "'weight', a weight"),
        ([], "none"),
    ],
)
def test_names_that_do_not_fit(tmp_path, tensors, found):
    with pytest.raises(CalibrationError, match=r"do not fit the graph") as caught:
        observer_graph(draw(tmp_path / "graph.onnx"), tensors, 0)
    assert caught.value.found == found


def test_a_tensor_of_whole_numbers(tmp_path):
    with pytest.raises(CalibrationError, match=r"tensor shape of .* cannot be quantised") as caught:
        observer_graph(draw(tmp_path / "graph.onnx"), ["shape"], 0)
    assert caught.value.found == "int64"


def test_an_old_graph(tmp_path):
    path = draw(tmp_path / "graph.onnx")
    model = onnx.load(str(path))
    model.opset_import[0].version = 11
    onnx.save(model, str(path))
    with pytest.raises(CalibrationError, match="too old to be observed") as caught:
        observer_graph(path, ["conv"], 0)
    assert caught.value.found == "opset 11"


def test_nan_in_the_middle_of_a_tensor_is_found(tmp_path):
    """Minimum and maximum of ONNX Runtime pass over it."""
    session = ObserverSession(
        observer_graph(draw(tmp_path / "g.onnx"), ["conv", "log"], 0), 1, "cpu"
    )
    with pytest.raises(CalibrationError, match="activation log is not finite") as caught:
        session.run("frames/0007.png", image_of(5))
    assert "frames/0007.png" in caught.value.found and "1 of 2 tensors" in caught.value.found


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1])
def test_one_odd_value_is_found(tmp_path, odd, place):
    session = ObserverSession(observer_graph(draw(tmp_path / "g.onnx"), ["click"], 0), 1, "cpu")
    click = np.ones((300, 2), np.float32)
    click[150, place] = odd
    with pytest.raises(CalibrationError, match="activation click is not finite"):
        session.run("a", {"click": click})


def test_a_sum_beyond_float32_is_no_odd_value(tmp_path):
    session = ObserverSession(observer_graph(draw(tmp_path / "g.onnx"), ["click"], 0), 1, "cpu")
    seen = session.run("a", {"click": np.full((300, 2), 3e38, np.float32)})
    assert seen.highest[0] == np.float32(3e38)


def test_an_input_is_missing_or_has_another_size(tmp_path):
    session = ObserverSession(observer_graph(draw(tmp_path / "g.onnx"), WANTED, 0), 1, "cpu")
    with pytest.raises(CalibrationError, match="image a comes without all") as caught:
        session.run("a", {"image": image_of(0)["image"]})
    assert caught.value.expected == "image, click"
    with pytest.raises(ExecutorError, match="failed with the image b in the graph"):
        session.run("b", {**image_of(0), "image": np.zeros((9, 9, 3), np.uint8)})


def test_providers_are_never_chosen_silently(tmp_path, monkeypatch):
    observer = observer_graph(draw(tmp_path / "graph.onnx"), ["conv"], 0)
    with pytest.raises(UsageError, match="no provider 'gpu'"):
        ObserverSession(observer, 1, "gpu")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ExecutorError, match="provider cuda of ONNX Runtime is not available"):
        ObserverSession(observer, 1, "cuda")
    # a library that says it has CUDA, and then runs on the CPU
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    if onnxruntime.get_device() == "CPU":
        with (
            pytest.warns(UserWarning, match="not in available provider names"),
            pytest.raises(ExecutorError, match="chose another provider than it was told"),
        ):
            ObserverSession(observer, 1, "cuda")
