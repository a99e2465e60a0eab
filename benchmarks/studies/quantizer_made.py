"""What a tool made of a graph: time, memory and convolutions in INT8, or how it refused."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.studies.quantizer_tools import Source
from calibration.quantization.qdq import Form
from edge.errors import ExecutorError
from edge.executors.onnxruntime import OnnxRuntimeExecutor

LONGEST = 300  # characters of a refusal
# Runs a command and says what it and its children used.
_USED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("used", used.ru_maxrss, used.ru_utime + used.ru_stime)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Made:
    """One tool, with one method, on one graph."""

    tool: str
    method: str
    graph: str  # its kind
    precision: str  # of the float graph
    seconds: float  # on the clock
    processor_s: float  # of all cores; others on the machine hardly change it
    peak_mb: float  # of the process, all included
    quantised_convolutions: int = 0
    convolutions: int = 0
    quantize_nodes: int = 0  # of activations and, where a tool leaves them in float, of weights
    file_bytes: int = 0
    refused: str = ""  # first line of the message

    @property
    def layers(self) -> str:
        """As the tables say it."""
        if self.refused:
            return f"refused: {self.refused}"
        return f"{self.quantised_convolutions} of {self.convolutions}"


def run_tool(tool: str, method: str, source: Source, command: list[str], target: Path) -> Made:
    """Run a tool and look at what it made.

    Args:
        tool: its name.
        method: of the ranges.
        source: the float graph.
        command: see `command_of`.
        target: the file that it writes.
    """
    start_s = time.perf_counter()
    timed = ["/usr/bin/env", "python3", "-c", _USED, *command]
    done = subprocess.run(timed, capture_output=True, text=True, check=False)
    seconds = round(time.perf_counter() - start_s, 1)
    peak_kb, processor_s = map(float, done.stdout.rsplit("used", 1)[-1].split())
    used = seconds, round(processor_s, 1), round(peak_kb / 1024, 1)
    head = tool, method, source.kind, source.precision, *used
    if not target.exists():
        return Made(*head, refused=message_of(done.stderr))
    try:
        OnnxRuntimeExecutor(target, Form.TENSORRT.value, threads=1)
    except ExecutorError as error:
        why = without_folders(str(error.__cause__ or error).strip().splitlines()[0])
        return Made(*head, refused=f"writes a graph that does not load: {why}"[:LONGEST])
    return Made(*head, *counts(target), target.stat().st_size)


def counts(graph: Path) -> tuple[int, int, int]:
    """Convolutions in INT8, convolutions in all, and QuantizeLinear nodes of a Q/DQ graph.

    A convolution runs in INT8 where both its input and its weights come from a DequantizeLinear; a
    cast between them is passed, since TensorRT fuses it.
    """
    import onnx

    nodes = onnx.load(str(graph)).graph.node
    makers = {name: node for node in nodes for name in node.output}

    def dequantized(name: str) -> bool:
        maker = makers.get(name)
        while maker is not None and maker.op_type == "Cast":
            maker = makers.get(maker.input[0])
        return maker is not None and maker.op_type == "DequantizeLinear"

    convolutions = [node for node in nodes if node.op_type == "Conv"]
    quantised = sum(all(map(dequantized, node.input[:2])) for node in convolutions)
    return quantised, len(convolutions), sum(node.op_type == "QuantizeLinear" for node in nodes)


def message_of(errors: str) -> str:
    """The first line of a message in what a Python program printed of its end."""
    lines = [line for line in errors.rpartition("Traceback (most")[2].splitlines() if line.strip()]
    own = [line for line in lines[1:] if not line.startswith(" ")] or lines[-1:]
    return without_folders(own[0].strip())[:LONGEST] if own else "no file, and no message"


def without_folders(text: str) -> str:
    """A message without the folders of this run: of a path its last part is left."""
    return re.sub(r"(?<![\w.])/(?:[^\s/]+/)+", "", text)


def line_of(made: Made) -> str:
    """One row for people."""
    graph = f"{made.graph} {made.precision}"
    head = (
        f"{made.tool:26}{made.method:20}{graph:24}{made.processor_s:7.1f} s {made.peak_mb:7.0f} MB"
    )
    if made.refused:
        return f"{head}  {made.layers}"
    rest = f"{made.layers} convolutions, {made.quantize_nodes} Q"
    return f"{head}  {rest}, {made.file_bytes / 1e6:.1f} MB"


def found_in(made: Sequence[Made], tool: str, method: str) -> list[Made]:
    """Of one tool and method."""
    return [each for each in made if (each.tool, each.method) == (tool, method)]
