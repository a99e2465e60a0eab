"""Models other than `lite`, small, with random weights: their graphs, and whole calibrations.

The exports are those of tests/export/test_published_graphs.py.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from exported_once import settled_graphs, small_published
from torch import nn

from calibration.calibrate import open_float
from calibration.command import calibrate
from calibration.int8_bundle import JUDGEMENT, RANGES, REPORT
from calibration.judging import agreement, latency, sensitivity
from calibration.judging import judge as judging
from calibration.quantization.batch_norm import unfolded_norms
from calibration.quantization.convolutions import GraphView
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.ranges import inputs
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path, write_bundle
from edge.errors import CalibrationError, UsageError
from edge.localizer import Localizer
from edge.types import ReferenceWindow
from export.bundle_manifest import manifest_of
from tests.support.made_flights import make_flight, make_map, texture

pytestmark = pytest.mark.slow

OPTIONS = {
    "ocgnet": {"fold_head": False},
    "mogeo": {"min_max": True},
    "attengeo": {"iterations": 1},
}
FRAMES, WINDOWS = 32, 16


# --- batch norm ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["lite", pytest.param("detgeo", marks=pytest.mark.full_size), "ocgnet", "mogeo", "attengeo"],
)
def test_no_batch_norm_is_left_in_what_is_quantised(name: str, once) -> None:
    """TROGeo has none. MOGeo adds weights of its gate behind a convolution by made weights."""
    if name == "lite":
        model, files = settled_graphs(once)
        paths = [path for graph, path in files.items() if Path(graph).stem in (ENCODER, LOCALIZER)]
    else:
        model, by_key = small_published(once, name, **OPTIONS.get(name, {}))
        paths = list(by_key.values())
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and any(norm.running_var.std() > 0.01 for norm in norms), "something to fold"
    assert len(paths) == 4
    for path in paths:
        graph = onnx.load(str(path))
        assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
        assert unfolded_norms(graph) == ()
        assert not scaled_or_shifted(graph) or (name, path.stem) == ("mogeo", ENCODER), path
        held = {tensor.name for tensor in graph.graph.initializer}
        assert not [x for x in held if "running_var" in x or "running_mean" in x]


def scaled_or_shifted(model: onnx.ModelProto) -> list[str]:
    """Operations by a constant of each channel on what a convolution made."""
    view = GraphView(model)
    found = []
    for node in view.graph.node:
        maker = view.makers.get(node.input[0]) if node.input else None
        if maker is None or maker.op_type != "Conv" or node.op_type not in ("Mul", "Add", "Sub"):
            continue
        sizes = [view.constants[name].dims for name in node.input if name in view.constants]
        if any(
            len(dims) >= 3 and dims[-3] > 1 and not any(d > 1 for d in dims[-2:]) for dims in sizes
        ):
            found.append(node.name)
    return found


# --- whole calibrations --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """flight/ and map.mbtiles."""
    home = tmp_path_factory.mktemp("others")
    make_flight(home / "flight", FRAMES)
    make_map(home / "map.mbtiles", side_tiles=7)
    return home


def bundle_of(name: str, once, folder: Path) -> Bundle:
    """The small model with the shipped acceptance, so that verdicts are not all the same."""
    model, paths = small_published(once, name, **OPTIONS.get(name, {}))
    manifest = manifest_of(model, f"small-{name}", "1", "random weights", 0.25)
    acceptance = Bundle.open(shipped_bundle_path()).manifest.acceptance
    manifest = msgspec.structs.replace(manifest, acceptance=acceptance)
    files = {f"graphs/{p}/{kind}.onnx": path for (p, kind), path in paths.items()}
    return write_bundle(folder, manifest, files)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One click a frame, and a judge that looks at a few: attention takes 0.1 s for each click."""
    for module in (inputs, sensitivity, latency):
        monkeypatch.setattr(module, "CLICKS", 1)
    monkeypatch.setattr(agreement, "MOST_FRAMES", 8)
    monkeypatch.setattr(agreement, "PER_FRAME", 1)
    monkeypatch.setattr(agreement, "WINDOWS", 4)
    monkeypatch.setattr(sensitivity, "IMAGES", 1)
    monkeypatch.setattr(
        judging, "latency_ratio", functools.partial(latency.latency_ratio, repeats=1)
    )


def run(places: Path, name: str, *more: str) -> Result:
    words = [str(places / name), f"--frames={places / 'flight'}", f"--out={places / name}_int8"]
    words += [f"--tiles={places / 'map.mbtiles'}", f"--frame-count={FRAMES}"]
    words += [f"--window-count={WINDOWS}", "--threads=1", "--method=minmax", *more]
    return CliRunner().invoke(calibrate, words)


LONG = ("detgeo", "ocgnet", "attengeo", "trogeo")
LITTLE = {"attengeo": 0.25, "trogeo": 0.05}  # attention: no graph has more of its work in INT8


@pytest.mark.parametrize(
    "name",
    ["mogeo", *(pytest.param(each, marks=pytest.mark.full_size) for each in LONG)],
)
def test_a_whole_calibration(name: str, once, places, quick) -> None:
    plain = bundle_of(name, once, places / name)
    done = run(places, name)
    assert done.exit_code == 0, done.output
    bundle = Bundle.open(places / f"{name}_int8")
    assert bundle.manifest.model == name
    judgement = json.loads(bundle.file(JUDGEMENT).read_bytes())
    scores = bundle.manifest.scores["int8"]
    assert scores["reasons"] == judgement["reasons"]
    assert "rests on agreement with float32 alone" in " ".join(judgement["reasons"])
    blocks = FloatGraphs(plain).blocks
    assert {each["block"] for each in judgement["sensitivity"]} == {each.name for each in blocks}
    assert all(0 < each["relative_error"] < 1 for each in judgement["sensitivity"])
    graphs = [f"graphs/{form}/{kind}.onnx" for form in ("int8+fp16", "int8+fp32")
              for kind in (ENCODER, LOCALIZER)]  # fmt: skip
    assert judgement["outcome"] in ("accepted", "mixed"), done.output
    assert all(judgement["graph_sha256"][each] == bundle.manifest.files[each] for each in graphs)
    assert {RANGES, REPORT} <= bundle.manifest.files.keys()
    check_shares(name, judgement, done.output, bundle)
    answers = [locate(Localizer.open(bundle, precision=p, threads=1)) for p in ("fp32", "int8")]
    assert all(np.isfinite(each).all() for each in answers)
    assert not np.array_equal(*answers), "INT8 is another graph"


def locate(localizer: Localizer) -> np.ndarray:
    picture = texture(7, (256, 256))
    window = ReferenceWindow(picture, np.ones((256, 256), bool), None, "w", "made")
    clicks = np.float32([[20, 20], [100, 40]])
    found = localizer.locate(texture(8, (128, 64)), clicks, localizer.encode(window))
    return np.concatenate([*found.box_xyxy_px, found.confidence_logit, found.peak_similarity])


def check_shares(name: str, judgement: dict, said: str, bundle: Bundle) -> None:
    """A model that is attention says at once that next to nothing of it is INT8."""
    shares = judgement["int8_share_of_macs"]
    report = bundle.file(REPORT).read_text()
    first = judgement["reasons"][0]
    if name not in LITTLE:
        assert min(shares.values()) > 0.2 and "but only" not in said
        return
    assert 0 < max(shares.values()) < LITTLE[name]
    outcome = f"{judgement['outcome']}, but only"
    assert first.startswith(outcome) and first.endswith("expect no gain in speed")
    for text in (said, report, bundle.manifest.scores["int8"]["reasons"][0]):
        assert first in text
    if name == "trogeo":
        headline = "by agreement alone, but at most 2 % of the work is INT8"
        assert headline in said and headline in report


def test_features_that_cannot_be_int8_are_refused_before_any_work(once, places) -> None:
    """OCGNet stores keys and values of an attention beside its maps."""
    bundle_of("ocgnet", once, places / "keys")
    done = run(places, "keys", "--int8-features")
    assert isinstance(done.exception, UsageError), done.output
    assert "cannot be stored in int8" in done.exception.what
    assert "key [8, 512], value [8, 512]" in done.exception.found
    assert not (places / "keys_int8.work").exists()


def test_a_model_without_a_convolution_for_int8_says_so(once, places) -> None:
    """MOGeo, as if the policy refused its convolutions."""
    bundle = bundle_of("mogeo", once, places / "attention")
    graphs = FloatGraphs(open_float(bundle.path))
    for kind in (ENCODER, LOCALIZER):
        found = graphs.sorted[kind]
        refused = tuple((each, "made here") for each in found.eligible)
        graphs.sorted[kind] = type(found)((), (*found.refused, *refused), found.other_macs)
    with pytest.raises(CalibrationError, match="nothing of the bundle small-mogeo") as caught:
        _ = graphs.observed
    assert "stay float16 by policy" in caught.value.found
