"""Blocks are found in layer tables that TensorRT-RTX really makes; a table needs no GPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from quick_int8 import quick_int8

from calibration.judging.block_latency import block_times
from calibration.judging.graph_blocks import graph_blocks
from calibration.judging.timed_engines import FLOAT, INT8, timed_bundle
from calibration.quantization.int8_graphs import FloatGraphs
from edge.bundle import ENCODER, Bundle, shipped_bundle_path
from export.engines.build import BuildSettings, build_engine
from export.engines.layer_table import CONVOLUTIONS, PRODUCTS, Layer, layers_of_log
from export.engines.layer_times import EngineTimes, LayerTime
from export.engines.targets import choose_target
from export.shared_weights import whole_graph

HEAVY_MS = 1000.0  # of a layer that convolves: one that goes astray stands out from all the others
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorrt_rtx") is None,
        reason="tensorrt_rtx is not installed: pip install tensorrt-rtx",
    ),
]


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped bundle with quick INT8 graphs beside its own."""
    home = tmp_path_factory.mktemp("tables")
    shipped = Bundle.open(shipped_bundle_path())
    files = {}
    for name, content in quick_int8(shipped).items():
        files[name] = home / name.replace("/", "_")
        files[name].write_bytes(content)
    return timed_bundle(shipped, files, home / "timed")


def table(timed: Bundle, precision: str, logs: Path) -> tuple[Layer, ...]:
    """The layers of the encoder's engine for an RTX 30."""
    settings = BuildSettings(choose_target("sm86", "tensorrt-rtx", None), logs=logs)
    build_engine(timed, ENCODER, precision, settings)
    (log,) = logs.glob(f"{ENCODER}_{precision}*.log")
    with log.open(encoding="utf-8", errors="replace") as lines:
        return layers_of_log(lines)


@pytest.mark.parametrize("precision", [FLOAT, INT8])
def test_every_block_of_the_shipped_encoder_is_in_its_engines(timed, tmp_path, precision):
    graphs = FloatGraphs(Bundle.open(shipped_bundle_path()))
    blocks = [block for block in graphs.blocks if block.graph == ENCODER]
    model = whole_graph(timed.graph(ENCODER, precision))
    found = graph_blocks(model, blocks, graphs.sorted[ENCODER].eligible)
    layers = table(timed, precision, tmp_path)
    heavy = [each.kind in (*CONVOLUTIONS, *PRODUCTS) for each in layers]
    made = zip(layers, heavy, strict=True)
    told = EngineTimes(tuple(LayerTime(each, HEAVY_MS if is_so else 1.0) for each, is_so in made))
    times = block_times(told, found)  # raises where a block is in no layer
    assert list(times.by_block_ms) == [block.name for block in blocks] and len(blocks) > 20
    for block in blocks:
        # a kernel for each convolution; in INT8 also those that scale and quantise around it
        count = len(block.convolutions)
        around_ms = times.by_block_ms[block.name] - HEAVY_MS * count
        assert -1e-6 <= around_ms <= 2 * count + 1, block.name
    assert times.total_ms == pytest.approx(told.total_ms)
    assert times.elsewhere_ms < 0.25 * len(layers)  # no convolution, and few of the others
