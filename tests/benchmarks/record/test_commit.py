"""The commit of a checkout, with its changes; nothing of somebody else's checkout."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from benchmarks.record.commit import read_commit
from benchmarks.record.lines import Unknown

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def checkout(tmp_path):
    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git("add", "code.py")
    git("commit", "-q", "-m", "first")
    return tmp_path, git("rev-parse", "HEAD")


def test_a_clean_checkout_is_its_commit(checkout):
    folder, commit = checkout
    (folder / "bench").mkdir()  # what a run leaves changes no code
    (folder / "bench" / "bench.jsonl").write_text("")
    assert read_commit(folder) == commit


def test_changes_are_told_apart(checkout):
    folder, commit = checkout
    found = []
    for text in ("2\n", "3\n", "2\n", "1\n"):
        (folder / "code.py").write_text(text)
        found.append(read_commit(folder))
    assert found[0] == found[2] != found[1] and found[3] == commit
    assert found[0].startswith(commit + "+") and len(found[0]) == len(commit) + 9


def test_a_checkout_around_it_is_not_its_own(checkout):
    folder, _ = checkout
    (folder / "site-packages").mkdir()
    assert isinstance(read_commit(folder / "site-packages"), Unknown)


def test_no_checkout_and_no_git_are_unknown(tmp_path, monkeypatch):
    assert isinstance(read_commit(tmp_path), Unknown)
    monkeypatch.setenv("PATH", "")
    assert isinstance(read_commit(tmp_path), Unknown)
