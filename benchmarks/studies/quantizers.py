"""Our Q/DQ beside ready tools': accuracy in boxes, time, memory and layers, in one run.

    python -m benchmarks.studies.quantizers --selection DIR --samples DIR ... --modelopt PYTHON

The shipped bundle's encoder and localizer, float32 and of plain operators, are quantised by every
tool and method from the same pictures of a selection folder (`tilefix calibrate` leaves one in its
work folder), with TensorRT's rules: symmetric int8, weights per channel, Q/DQ before convolutions
only. What a tool makes takes the place of both float32 graphs, ONNX Runtime computes in float
between the Q/DQ, and the judge's measures compare boxes with float32's on labelled samples that no
range was found on (`tilefix datasets render --window-px 1024`). A graph that a tool refuses is
judged in float32, and the refusal is in the record. The float16 localizer with the plugin's node
is offered once to each tool, in the operator set that float16 Q/DQ need: accepted or not, it is
not judged.

ONNX Runtime's histogram methods hold every activation of every picture at once, a gigabyte and
more for each window: hence so few. With `--histograms` (the same work folder's) ours are
judged from all pictures of the selection too. NVIDIA's ModelOpt brings its own onnxruntime, so it
runs in an environment of its own, by its interpreter. There, with a CPU's torch first:

    pip install torch --index-url https://download.pytorch.org/whl/cpu
    pip install 'nvidia-modelopt[onnx]'
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.acceptance_record import machine, said, write_record
from benchmarks.studies.own_command import own_command
from benchmarks.studies.quantizer_boxes import Court, candidate_of, least_cosines
from benchmarks.studies.quantizer_feeds import Pictures, part_of, write_feeds
from benchmarks.studies.quantizer_made import Made, found_in, line_of, run_tool
from benchmarks.studies.quantizer_tools import (
    METHODS,
    NVIDIA,
    OURS,
    Source,
    command_of,
    write_ours,
)
from calibration.judging.held_out import open_held_out
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.quantization.qdq import OPSET
from calibration.ranges.finding import find_ranges
from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.work_folder import shard_name
from calibration.selection.record import SelectionFolder
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path

RECORD = Path(__file__).parent.parent / "records" / "quantizers.json"
KINDS = (ENCODER, LOCALIZER)
FROM_ALL = ("percentile", "mse")  # ours, from all pictures
WITH_PLUGIN = (LOCALIZER, "fp16")


def arguments() -> argparse.ArgumentParser:
    """What the study is asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--selection", type=Path, required=True, help="folder that ranges are found on")
    add("--windows", type=int, default=3, help="of it, evenly spread, for the encoder")
    add("--frames", type=int, default=12, help="of it, evenly spread, for the localizer")
    add("--judged-on", type=int, default=3, help="further windows, to compare features on")
    add("--samples", type=Path, nargs="+", required=True, help="labelled, held out")
    add("--every", type=int, default=6, help="judge on one of so many samples of each folder")
    add("--histograms", type=Path, help="of the whole selection, for ours from all pictures")
    add("--modelopt", help="Python interpreter of ModelOpt's environment; default: left out")
    add("--work", type=Path, help="keeps answers on samples; a later run goes on with them")
    add("--out", type=Path, default=RECORD, help="the record")
    return parser


def main() -> None:
    """Quantise, judge, print and write the record."""
    given = arguments().parse_args()
    bundle = Bundle.open(shipped_bundle_path())
    folder = SelectionFolder.open(given.selection)
    pictures = part_of(folder, given.frames, given.windows, given.judged_on)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        samples = open_held_out(given.samples, given.every)
        court = Court(bundle, samples, given.work or scratch / "work", say)
        sources = sources_of(bundle, pictures, scratch)
        made = quantise(sources, scratch, given.modelopt)
        judged = judge(court, sources, made, pictures, scratch, given.histograms)
    values: dict[str, Any] = {
        "schema": "tilefix-quantizers/2",
        "command": own_command("benchmarks.studies.quantizers"),
        "environment": machine() | versions(given.modelopt),
        "date": time.strftime("%Y-%m-%d"),
        "bundle": f"{bundle.manifest.name} {bundle.manifest.version}",
        "samples": [json.loads((each / "made_by.json").read_text()) for each in given.samples],
        "every": given.every,
        "ranges_from": {"frames": given.frames, "windows": given.windows},
        "all_pictures": {"frames": len(folder.frames), "windows": len(folder.windows)},
        "features_compared_on": len(pictures.judged),
        "made": [asdict(each) for each in made],
        "judged": judged,
    }
    write_record(values, given.out.parent, given.out.name)


def sources_of(bundle: Bundle, pictures: Pictures, scratch: Path) -> list[Source]:
    """The graphs that tools are offered, each in a file that stands alone."""
    from export.shared_weights import whole_graph

    feeds = write_feeds(bundle, pictures.seen, scratch)
    sources = []
    for kind, precision in ((ENCODER, "fp32"), (LOCALIZER, "fp32"), WITH_PLUGIN):
        path = scratch / f"{kind}_{precision}.onnx"
        model = whole_graph(bundle.graph(kind, precision))
        for part in (model, *model.functions) if precision != "fp32" else ():
            for opset in part.opset_import:
                if opset.domain == "":
                    opset.version = max(opset.version, OPSET)
        path.write_bytes(model.SerializeToString())
        sources.append(Source(kind, precision, path, feeds[kind]))
    return sources


def target_of(scratch: Path, tool: str, method: str, source: Source) -> Path:
    """Where a tool writes."""
    return scratch / f"{tool}-{method}-{source.path.name}".replace(" ", "_").replace(",", "")


def quantise(sources: list[Source], scratch: Path, modelopt: str | None) -> list[Made]:
    """Every tool and method on every graph; the one with the plugin by the first method alone."""
    made = []
    for tool, methods in METHODS.items():
        for method in methods if tool != NVIDIA or modelopt else ():
            for source in sources:
                if source.precision == WITH_PLUGIN[1] and method != methods[0]:
                    continue
                target = target_of(scratch, tool, method, source)
                command = command_of(tool, method, source, target, modelopt)
                made.append(run_tool(tool, method, source, command, target))
                print(line_of(made[-1]), flush=True)
    return made


def judge(
    court: Court,
    sources: list[Source],
    made: list[Made],
    pictures: Pictures,
    scratch: Path,
    histograms: Path | None,
) -> list[dict[str, Any]]:
    """The boxes of every tool and method, and the encoder's features."""
    floats = {source.kind: source for source in sources if source.precision == "fp32"}
    graphs: dict[tuple[str, str, str], dict[str, Path]] = {}
    for tool, method in dict.fromkeys((each.tool, each.method) for each in made):
        kept = {kind: source.path for kind, source in floats.items()}
        for each in found_in(made, tool, method):
            if each.precision == "fp32" and not each.refused:
                kept[each.graph] = target_of(scratch, tool, method, floats[each.graph])
        graphs[tool, method, "the same"] = kept
    for method in FROM_ALL if histograms else ():
        graphs[OURS, method, "all"] = from_all(floats, method, histograms or Path(), scratch)
    judged = []
    for (tool, method, seen), files in graphs.items():
        in_float = [kind for kind in KINDS if files[kind] == floats[kind].path]
        row: dict[str, Any] = {"tool": tool, "method": method, "pictures": seen}
        row["left_float"] = in_float
        row["cosine"] = least_cosines(floats[ENCODER].path, files[ENCODER], pictures.judged)
        row |= court.boxes(candidate_of(court.bundle, files, scratch / "candidate"))
        print(row, flush=True)
        judged.append(row)
    return judged


def from_all(
    floats: dict[str, Source], method: str, histograms: Path, scratch: Path
) -> dict[str, Path]:
    """Our graphs by the histograms of a whole calibration."""
    graphs = FloatGraphs(Bundle.open(shipped_bundle_path()))
    written = {}
    for kind in KINDS:
        seen = TensorHistograms.read(histograms / kind / shard_name(0, 1))
        ranges = find_ranges((seen,), method).of(kind)
        amax = {name: each.amax for name, each in ranges.items()}
        written[kind] = scratch / f"all-{method}-{kind}.onnx"
        write_ours(graphs, kind, amax, floats[kind].path, written[kind])
    return written


def versions(modelopt: str | None) -> dict[str, str]:
    """Of the tools."""
    import onnxruntime

    found = {"onnxruntime": onnxruntime.__version__}
    if modelopt:
        code = "import modelopt; print(modelopt.__version__)"
        found["modelopt"] = said(modelopt, "-c", code) or "unknown"
    return found


def say(what: str, done: int, total: int) -> None:
    """Progress on samples, now and then."""
    if done == total or done % 10 == 0:
        print(f"  {what}: {done} of {total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
