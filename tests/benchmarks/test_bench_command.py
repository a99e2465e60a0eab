"""`tilefix bench` from the outside: options, subcommands, a whole run, Ctrl-C."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from tiny_flight import write_tiny_pairs

from benchmarks import command
from benchmarks.command import SCENARIOS, STATES, bench
from benchmarks.record.lines import CacheState, Scenario
from benchmarks.record.runs import read_runs
from edge.cli import INTERRUPTED
from edge.errors import OutputError, TilefixError, UsageError

TILEFIX = (sys.executable, "-m", "edge.cli", "bench")


@pytest.fixture
def options(tiny_bundle, tmp_path):
    """A quick run of one scenario on the tiny bundle."""
    pairs = write_tiny_pairs(tmp_path)
    return [
        "--quick",
        *("--bundle", str(tiny_bundle.path)),
        *("--pairs", str(pairs)),
        *("--out", str(tmp_path / "out")),
        *("--threads", "1"),
    ]


def clean():
    """An environment in which numpy chooses its threads as for anybody."""
    blas = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {name: value for name, value in os.environ.items() if name not in blas}


def test_the_names_are_those_of_the_record():
    assert set(SCENARIOS) == {each.value for each in Scenario}
    assert set(STATES) == {each.value for each in CacheState}


def test_help_lists_options_and_subcommands_and_loads_none_of_them():
    watch = (
        "import sys\n"
        "from benchmarks.command import bench\n"
        "bench.main(['--help'], standalone_mode=False)\n"
        "heavy = ('numpy', 'rich', 'benchmarks.record.command')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", watch], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for word in ("--cross-check", "--soak-minutes", "compare", "report", "table", "scale"):
        assert word in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    said = " ".join(done.stdout.split())
    assert "`multi-stream` takes 1, 2, 4, 8, 16 and this number" in said


@pytest.mark.parametrize("name", list(command.SUBCOMMANDS))
def test_an_option_of_the_measurement_before_a_subcommand_is_refused(name, monkeypatch):
    monkeypatch.setattr(command.LazySubcommands, "get_command", lambda *given: bench)
    with pytest.raises(UsageError, match=f"--quick belongs to a measurement, not to {name}"):
        CliRunner().invoke(bench, ["--quick", name], catch_exceptions=False)


def test_an_unknown_subcommand_is_an_error():
    done = CliRunner().invoke(bench, ["compere"])
    assert done.exit_code == 2 and "No such command" in done.output


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--scenario", "offline", "--state", "warm"), "nothing to measure"),
        (("--executor", "tensorflow"), "no executor 'tensorflow'"),
        (("--precision", "fp64"), "no precision 'fp64'"),
        (("--cross-check",), "nothing to check onnxruntime against"),
        (("--redo", "sift"), "no peers are asked for"),
        (("--minutes", "1e12"), "periodic, warm, 8 clicks: what it has to keep does not fit"),
        (("--rate-hz", "1e300"), "periodic, warm, 8 clicks: what it has to keep does not fit"),
        (("--clicks", "10000000000"), "10000000000 clicks: what it has to keep does not fit"),
    ],
)
def test_what_cannot_mean_anything_is_refused_before_anything_is_measured(
    options, given, words, tmp_path
):
    with pytest.raises(TilefixError, match=words):
        CliRunner().invoke(bench, [*options, *given], catch_exceptions=False)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused_as_by_other_commands(options, tmp_path):
    """With the words of `tilefix run`, and before anything is opened."""
    (tmp_path / "afile").write_text("kept")
    for out in (tmp_path / "afile", tmp_path / "afile" / "below"):
        with pytest.raises(OutputError, match=f"--out {out} is no folder") as caught:
            words = [*options, "--out", str(out), "--bundle", "not one"]
            CliRunner().invoke(bench, words, catch_exceptions=False)
        assert caught.value.expected == "a folder, new or existing"
        assert caught.value.found == f"{tmp_path / 'afile'} is there and is no folder"
        assert caught.value.do == "give another folder with --out, or move that file away"
        assert caught.value.exit_code == 14
    assert (tmp_path / "afile").read_text() == "kept"


def test_a_run_prints_its_table_and_leaves_its_record(options, tmp_path):
    single = ("--scenario", "single-stream", "--state", "warm")
    done = CliRunner().invoke(bench, [*options, *single], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "single-stream warm 1" in done.output
    assert "without a prior: acc@0.25" in done.output
    assert "harness: " in done.output and "energy: " in done.output
    assert str(tmp_path / "out" / "bench.jsonl") in done.output
    assert "measured now" not in done.output
    (run,) = read_runs(tmp_path / "out")
    (measured,) = run.measurements
    assert measured.ended == "complete" and measured.latency.count >= 24
    assert len(run.accuracy) == 1 and len(run.rooflines) >= 1


def test_a_run_that_is_complete_says_that_nothing_was_measured_now(options, tmp_path):
    """Beside the table, which is the old one; and the record stays as it was, to the byte."""
    single = ("--scenario", "single-stream", "--state", "warm")
    CliRunner().invoke(bench, [*options, *single], catch_exceptions=False)
    record = tmp_path / "out" / "bench.jsonl"
    before = record.read_bytes()
    (run,) = read_runs(record)
    when = run.measurements[0].started_utc[:16].replace("T", " ")
    again = CliRunner().invoke(bench, [*options, *single], catch_exceptions=False)
    assert again.exit_code == 0 and "single-stream warm 1" in again.stdout
    said = (
        f"nothing was measured now: the table is what was measured before, {when} UTC. To measure "
        "anew, give another folder with --out\n"
    )
    assert f"{said}record: {record}\n" in again.stdout
    assert "1 measurements of an earlier call were kept" in again.stderr
    assert record.read_bytes() == before, "no line of a call that added nothing"
    more = ("--scenario", "multi-stream")
    added = CliRunner().invoke(bench, [*options, *single, *more], catch_exceptions=False)
    assert "measured now" not in added.stdout, "some of it is new"
    (run,) = read_runs(record)
    assert len(run.calls) == 2 and len(run.accuracy) == 1


def test_a_peer_is_measured_again_with_ours_beside_it(options, tmp_path):
    words = ("--scenario", "single-stream", "--state", "warm", "--peers", "--redo", "sift")
    for number in range(2):
        done = CliRunner().invoke(bench, [*options, *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        (run,) = read_runs(tmp_path / "out")
        assert [(peer.name, peer.round) for peer in run.peers] == [
            ("lite", number),
            ("SIFT + homography", number),
        ]
        old = "no latency was measured now: the table is what was measured before"
        assert (old in done.stdout) == bool(number), "peers are new, the table is not"
    made = CliRunner().invoke(bench, ["table", str(tmp_path / "out")], catch_exceptions=False)
    assert "| SIFT + homography | OpenCV |" in made.output
    refused = CliRunner().invoke(bench, [*options, "--peers", "--redo", "lite"])
    assert refused.exit_code == 2, "ours is measured beside each"


def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(options, tmp_path):
    """In a process of its own, amid a soak of an hour."""
    soak = ("--scenario", "single-stream", "--state", "warm", "--scenario", "soak")
    command = [*TILEFIX, *options, *soak, "--soak-minutes", "60"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean()
    )
    path = tmp_path / "out" / "bench.jsonl"
    deadline = time.monotonic() + 120
    while not (path.exists() and b'"line":"measurement"' in path.read_bytes()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing was measured"
        time.sleep(0.05)
    time.sleep(2.0)  # amid the soak
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, err
    assert "stopping after the query at work" in err and "goes on where this one was" in err
    (run,) = read_runs(path)
    ended = {each.scenario: each.ended for each in run.measurements}
    assert ended == {Scenario.SINGLE_STREAM: "complete", Scenario.SOAK: "interrupted"}
    assert "soak warm 8" in out and "interrupted" in out


def test_ctrl_c_before_the_first_measurement_reports_no_number(options, tmp_path, monkeypatch):
    """The signal comes while the bundle is scored."""

    def scored(self):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("benchmarks.scenarios.session.Session.accuracy", scored)
    single = ("--scenario", "single-stream", "--state", "warm")
    done = CliRunner().invoke(bench, [*options, *single], catch_exceptions=False)
    assert done.exit_code == INTERRUPTED
    assert "px, on noise: nothing was measured yet\nrecord: " in done.stdout
    for number in ("harness", "energy", "memory", "p50", "microseconds"):
        assert number not in done.stdout
    assert "stopped: the same command goes on where this one was" in done.stderr
    (run,) = read_runs(tmp_path / "out")
    assert run.measurements == ()


def test_numpy_is_loaded_on_one_thread(options, tmp_path):
    """Its threads would compete with the frame path, and have not the right of alignment's."""
    script = (
        "import os, sys\n"
        "from benchmarks import command\n"
        "loaded = 'numpy' in sys.modules\n"
        "class Stop(Exception): pass\n"
        "def stop(name):\n"
        "    import numpy\n"
        "    a = numpy.ones((1500, 1500), numpy.float32); a @ a\n"
        "    print(loaded, name, len(os.listdir('/proc/self/task')))\n"
        "    raise SystemExit\n"
        "command.importlib.import_module = stop\n"
        "command.bench([])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=clean()
    )
    assert done.stdout.split() == ["False", "benchmarks.measure_command", "1"], done.stderr


def test_the_subcommands_that_exist_are_click_commands():
    found = []
    for where, _ in command.SUBCOMMANDS.values():
        module_name, _, attribute = where.partition(":")
        if importlib.util.find_spec(module_name) is not None:
            found.append(getattr(importlib.import_module(module_name), attribute))
    assert found and all(isinstance(each, command.click.Command) for each in found)
