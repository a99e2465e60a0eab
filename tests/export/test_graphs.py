"""The exported graphs against the torch model, and against the numpy reference.

On a small model that exports soon: graphs of the usual one are in `test_bundle_weights.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from exported_once import settled_graphs

from edge.errors import UsageError
from export.graphs import LOCALIZER_OUTPUTS, export_graphs, torch_run
from export.type_report import report_types
from tests.support.settled_lite import FRAME_PX, WINDOW_PX
from training.models.lite import Lite


@pytest.fixture(scope="module")
def settled(once) -> tuple[Lite, dict[str, Path]]:
    return settled_graphs(once)


@pytest.fixture(scope="module")
def model(settled) -> Lite:
    return settled[0]


@pytest.fixture(scope="module")
def precisions(settled) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {"fp32": {}, "fp16": {}}
    for path in settled[1].values():
        found[path.parent.name][path.stem] = path
    return found


@pytest.fixture(scope="module")
def graphs(precisions) -> dict[str, Path]:
    return precisions["fp32"]


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def inputs(graphs: dict[str, Path], count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(count)
    window = rng.integers(0, 255, (WINDOW_PX, WINDOW_PX, 3), dtype=np.uint8)
    v, u = session(graphs["reference_encoder"]).run(None, {"image": window})
    return {
        "frame": rng.integers(0, 255, (FRAME_PX, FRAME_PX, 3), dtype=np.uint8),
        "frame_affine": np.array([[0.2, 0, 0], [0, 0.2, 16]], np.float32),
        "click_xy_px": rng.uniform(0, 480, (count, 2)).astype(np.float32),
        "v": v,
        "u": u,
        "prior_xy_px": rng.uniform(0, WINDOW_PX, (count, 2)).astype(np.float32),
        "prior_inv_var": np.where(np.arange(count) % 2, 0.01, 0).astype(np.float32),
    }


@pytest.mark.parametrize("count", [1, 2, 9, 64])
def test_localizer_equals_torch_for_any_number_of_clicks(model, graphs, count) -> None:
    fed = inputs(graphs, count)
    got = dict(zip(LOCALIZER_OUTPUTS, session(graphs["localizer"]).run(None, fed), strict=True))
    t = {k: torch.from_numpy(v) for k, v in fed.items()}
    clicks = t["click_xy_px"] * 0.2 + torch.tensor([0.0, 16.0])
    with torch.no_grad():
        query_map = model.encode_query(t["frame"].permute(2, 0, 1)[None].float())[0]
        out = model.localize(
            query_map,
            clicks,
            {"v": t["v"], "u": t["u"]},
            t["prior_xy_px"],
            t["prior_inv_var"],
        )
    for name in LOCALIZER_OUTPUTS:
        wanted = getattr(out, name).numpy()
        assert got[name].shape == wanted.shape, name
        assert np.abs(got[name] - wanted).max() < 2e-3, name


def test_encoder_equals_torch(model, graphs) -> None:
    window = np.random.default_rng(0).integers(0, 255, (WINDOW_PX, WINDOW_PX, 3), dtype=np.uint8)
    v, u = session(graphs["reference_encoder"]).run(None, {"image": window})
    with torch.no_grad():
        out = model.encode_reference(torch.from_numpy(window).permute(2, 0, 1)[None].float())
    assert v.dtype == u.dtype == np.float16
    assert np.abs(v - out["v"][0].numpy()).max() < 2e-3
    assert np.abs(u - out["u"][0].numpy()).max() < 2e-2


def test_head_file_gives_the_graphs_answer(graphs) -> None:
    """From q, v, u and head.npz alone, in plain numpy: the logits and boxes of the graph."""
    fed = inputs(graphs, 6)
    got = dict(zip(LOCALIZER_OUTPUTS, session(graphs["localizer"]).run(None, fed), strict=True))
    with np.load(graphs["head"]) as stored:
        head = {k: stored[k].astype(np.float64) for k in stored.files}
    v, u = fed["v"].astype(np.float64), fed["u"].astype(np.float64)
    for n in range(6):
        s = np.tensordot(got["query_vector"][n].astype(np.float64), v, 1)
        mixed = (head["alpha"] + head["beta"] * s) * (u + head["w_a"][:, None, None])
        mixed = mixed + head["b"][:, None, None]
        h = np.where(mixed > 0, mixed, 0.1 * mixed)
        logits = np.tensordot(head["w_conf"], h, 1) + head["c_conf"][:, None, None]
        logits = logits + head["tau"][:, None, None] * s
        rows, columns = np.indices(s.shape)
        square = ((columns + 0.5) * 8 - fed["prior_xy_px"][n, 0]) ** 2
        square = square + ((rows + 0.5) * 8 - fed["prior_xy_px"][n, 1]) ** 2
        inv_var, prior = fed["prior_inv_var"][n], fed["prior_xy_px"][n]
        if inv_var:
            logits = logits - 0.5 * square / (1 / inv_var + 8**2 / 12)
        a, i, j = np.unravel_index(logits.argmax(), logits.shape)
        t = head["w_box"][a] @ h[:, i, j] + head["b_box"][a]
        centre = (1 / (1 + np.exp(-t[:2])) + [j, i]) * 8
        size = np.exp(np.clip(t[2:], -4, 4)) * head["anchors_wh_px"][a]
        if inv_var:
            own = 0.03 * size.prod() + 4.0
            of_prior = 1 / inv_var + 0.02 * size.prod()
            centre = (centre / own + prior / of_prior) / (1 / own + 1 / of_prior)
        assert np.allclose(
            got["box_xyxy_px"][n], np.r_[centre - size / 2, centre + size / 2], atol=1e-2
        )
        assert got["confidence_logit"][n] == pytest.approx(logits.max(), abs=1e-3)


def test_graphs_carry_no_path_of_the_exporting_machine(graphs) -> None:
    import export

    place = str(Path(export.__file__).parent).encode()
    for name in ("reference_encoder", "localizer"):
        assert place not in graphs[name].read_bytes()


def test_float16_graph_answers_as_the_float32_one(precisions, graphs) -> None:
    half = precisions["fp16"]
    fed = inputs(graphs, 9)
    single_out = session(graphs["localizer"]).run(None, fed)
    half_out = session(half["localizer"]).run(None, fed)
    wanted, got = (dict(zip(LOCALIZER_OUTPUTS, out, strict=True)) for out in (single_out, half_out))
    for name in LOCALIZER_OUTPUTS:
        assert got[name].shape == wanted[name].shape and got[name].dtype == np.float32, name
    apart = np.abs(got["box_xyxy_px"] - wanted["box_xyxy_px"]).max(1)
    assert np.median(apart) < 0.2
    assert np.abs(got["attention"] - wanted["attention"]).max() < 0.02
    report_types(half["localizer"]).check()


def test_an_unknown_precision_is_refused(model, tmp_path) -> None:
    with pytest.raises(UsageError, match="no graph is exported in the precision 'int4'"):
        export_graphs(model, tmp_path, "int4")


def test_inputs_of_no_graph_are_refused(model) -> None:
    with pytest.raises(UsageError, match="not the inputs of a graph of lite") as caught:
        torch_run(model, {"picture": torch.zeros(1)})
    assert "reference_encoder: image" in caught.value.expected
