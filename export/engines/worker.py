"""The process that builds one engine: `python -m export.engines.worker JOB.json`.

It is a process of its own because builders abort, are killed for memory and never give memory back.
All that happens is in files: the report, the verbose log, the engine.

The build runs in a thread of its own, so that engines built twice are equal bytes. TensorRT-RTX
writes inputs and outputs into an engine in the order of a table that hashes addresses. Those of the
main thread's heap change with the randomised address space, the environment and the length of
paths; a new thread gets memory of its own from the C library. So all that knows a path or depends
on one happens before, in the main thread: loading the libraries, reading the graph.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnx

from edge.engine_manifest import TensorRecord
from edge.errors import ExecutorError, TilefixError
from export.engines.builder_errors import explain, no_memory
from export.engines.graph_fit import fit_graph
from export.engines.inspection import inspect_engine
from export.engines.job import (
    ENGINE_FILE,
    GRAPH_FILE,
    LOG_FILE,
    REPORT_FILE,
    TIMING_CACHE_FILE,
    BuildJob,
    BuildReport,
    Failure,
    layers_file,
)
from export.engines.layer_table import layers_of_inspector, layers_of_log
from export.engines.toolkit import Toolkit

OOM_SCORE = Path("/proc/self/oom_score_adj")
PR_SET_PDEATHSIG = 1


def main(path: str) -> None:
    """Build what a job file says and write the report beside it."""
    job = msgspec.json.decode(Path(path).read_bytes(), type=BuildJob)
    os.chdir(job.folder)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody waits: do not go on
    with contextlib.suppress(OSError):  # if memory runs out, this build is what is ended first
        OOM_SCORE.write_text("1000")
    try:
        toolkit = Toolkit.load(job.toolkit)
        prepared = prepare(job, toolkit)
        with ThreadPoolExecutor(1) as thread:
            report = thread.submit(build, job, toolkit, prepared).result()
    except TilefixError as error:
        report = BuildReport(failure=Failure.of(error))
    except MemoryError:
        report = BuildReport(failure=Failure.of(no_memory(job, "MemoryError")))
    (Path(job.folder) / REPORT_FILE).write_bytes(msgspec.json.encode(report))


class Prepared(NamedTuple):
    """What a build needs, read from files."""

    log: Any
    graph: bytes  # the fitted ONNX
    notes: tuple[str, ...]


def prepare(job: BuildJob, toolkit: Toolkit) -> Prepared:
    """Limit memory, load the plugin, read and fit the graph; a copy is left in the job's folder.

    Raises:
        ExecutorError: the graph or a plugin was refused.
    """
    folder = Path(job.folder)
    if toolkit.ahead_of_time and job.limit_bytes is not None:
        # Private memory alone: with a device, CUDA reserves address space that this would count.
        resource.setrlimit(resource.RLIMIT_DATA, (job.limit_bytes, job.limit_bytes))
    log = _new_log(toolkit.trt, folder / LOG_FILE)
    if job.plugin:
        _register(toolkit, job)
    model = onnx.load(job.graph)
    notes = fit_graph(model, keep_functions=toolkit.plugin_wins)
    graph = model.SerializeToString()
    (folder / GRAPH_FILE).write_bytes(graph)
    return Prepared(log, graph, notes)


def build(job: BuildJob, toolkit: Toolkit, prepared: Prepared) -> BuildReport:
    """Parse, build and look at the result; the engine is left in the job's folder.

    Raises:
        ExecutorError: the graph or the build was refused.
    """
    folder, trt, log, notes = Path(job.folder), toolkit.trt, prepared.log, prepared.notes
    builder = trt.Builder(log)
    network = toolkit.new_network(builder)
    parser = trt.OnnxParser(network, log)
    # From memory: a file's path would have a length, and move later allocations.
    if not parser.parse(prepared.graph):
        errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise explain(errors or log.errors, toolkit.title, job)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 is the reference: it shall be float32
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job.workspace_bytes)
    toolkit.set_capabilities(config, job.capabilities)
    profiles = _add_profiles(builder, config, network, job.click_buckets)
    if not toolkit.ahead_of_time:
        notes += _start_timing_cache(config, job.timing_cache)
    start_s = time.perf_counter()
    plan = builder.build_serialized_network(network, config)
    build_s = time.perf_counter() - start_s
    if plan is None:
        raise explain(log.errors, toolkit.title, job)
    (folder / ENGINE_FILE).write_bytes(plan)
    if toolkit.ahead_of_time:
        log.file.flush()
        with (folder / LOG_FILE).open(encoding="utf-8") as lines:
            layers = layers_of_log(lines)
        source, shown, device_bytes = "builder log", profiles, None
    else:
        cache = config.get_timing_cache()
        (folder / TIMING_CACHE_FILE).write_bytes(cache.serialize())
        found = inspect_engine(trt, log, bytes(plan))
        for profile, text in enumerate(found.texts):
            (folder / layers_file(profile)).write_text(text, encoding="utf-8")
        layers = layers_of_inspector(found.texts)
        source, shown, device_bytes = (
            "engine inspector",
            len(found.texts),
            found.device_memory_bytes,
        )
    return BuildReport(
        inputs=_records(trt, network.num_inputs, network.get_input),
        outputs=_records(trt, network.num_outputs, network.get_output),
        layers=layers,
        source=source,
        profiles=shown,
        build_s=build_s,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        device_memory_bytes=device_bytes,
        notes=notes,
    )


def _new_log(trt: Any, path: Path) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        """Every message into a file, errors in memory as well."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.file = path.open("w", encoding="utf-8", errors="replace")

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message)
                self.file.write(f"[E] {message}\n")
                self.file.flush()  # the process may be about to abort
            else:
                self.file.write(f"{message}\n")

    return Log()


def _register(toolkit: Toolkit, job: BuildJob) -> None:
    known = toolkit.load_plugin(Path(job.plugin))
    missing = [name for name in job.custom_operators if name not in known]
    if missing:
        raise ExecutorError(
            f"the plugin {job.plugin} has no creator for {', '.join(missing)}",
            expected=", ".join(job.custom_operators),
            found=", ".join(known) or "no creator at all",
            do=job.advice,
        )


def _add_profiles(builder: Any, config: Any, network: Any, buckets: tuple[int, ...]) -> int:
    """One optimisation profile for each number of clicks, each with min = opt = max."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    dynamic = [each for each in inputs if -1 in tuple(each.shape)]
    if not dynamic:
        return 1
    for clicks in buckets:
        profile = builder.create_optimization_profile()
        for each in dynamic:
            shape = tuple(clicks if side == -1 else side for side in tuple(each.shape))
            profile.set_shape(each.name, shape, shape, shape)
        config.add_optimization_profile(profile)
    return len(buckets)


def _start_timing_cache(config: Any, path: str) -> tuple[str, ...]:
    """Attach an earlier build's timing cache, or an empty one; what to say of it."""
    kept = Path(path).read_bytes() if path else b""
    if config.set_timing_cache(config.create_timing_cache(kept), False):
        return ("timing cache: started from an earlier build's",) if kept else ()
    config.set_timing_cache(config.create_timing_cache(b""), False)
    return ("timing cache: the earlier build's does not fit this device, started anew",)


def _records(trt: Any, count: int, get: Any) -> tuple[TensorRecord, ...]:
    return tuple(
        TensorRecord(
            name=tensor.name,
            dtype=np.dtype(trt.nptype(tensor.dtype)).name,
            shape=tuple(int(side) for side in tensor.shape),
        )
        for tensor in map(get, range(count))
    )


if __name__ == "__main__":
    main(sys.argv[1])
