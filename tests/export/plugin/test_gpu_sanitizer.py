"""What runs under the sanitizer on a GPU, and what becomes of its verdicts."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks.acceptance_record import Trial, Verdict
from benchmarks.gpu import acceptance as gpu_acceptance
from benchmarks.gpu import cross_attention_trial
from benchmarks.gpu.tile_attention_trial import check


def test_each_kind_of_the_sanitizer_has_its_own_verdict(tmp_path, monkeypatch):
    tool = tmp_path / "compute-sanitizer"
    tool.write_text('#!/bin/sh\necho "$2 ran" "$@"; [ "$2" = memcheck ] || sleep 5\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    trial, library = Trial(100.0, lambda line: None), tmp_path / "library.so"
    for kind in gpu_acceptance.KINDS:
        trial.run(kind, 1, partial(gpu_acceptance.run_sanitizer, kind, library, 1.0))
    passed, skipped = trial.parts
    assert passed.verdict is Verdict.PASSED and passed.values["last line"] != []
    assert "--check-only small" in passed.values["last line"][0]
    assert skipped.verdict is Verdict.SKIPPED
    assert skipped.reason == "racecheck took more than the 1 s that were left"
    tool.write_text("#!/bin/sh\necho ERROR SUMMARY: 1 error; exit 9\n")
    with pytest.raises(RuntimeError, match="memcheck ended with 9: ERROR SUMMARY: 1 error"):
        gpu_acceptance.run_sanitizer("memcheck", tmp_path / "library.so", 60)


def test_the_fewest_checks_pass_on_the_host(host_kernels, host_cross):
    _, requirements = check(host_kernels, 1, sizes="fewest", device="cpu")
    values, others = cross_attention_trial.check(host_cross, 1, sizes="fewest", device="cpu")
    assert values["calls"] == 4 * 2 * 2 * 2
    assert all(r.met for r in [*requirements, *others])
