"""The manifest guards itself: what it says is what was written, to the last number."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from damaged_bundle import edit, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle


@pytest.fixture
def folder(tiny_bundle, tmp_path) -> Path:
    """A copy of the tiny bundle that may be damaged."""
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "copy"))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_one_flipped_bit_of_the_manifest_is_refused(tiny_bundle, folder, data):
    """In the text or a number, in a name or a hash, its own included: no bit is free."""
    content = bytearray((tiny_bundle.path / "bundle.toml").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "bundle.toml").write_bytes(content)
    refusal(folder)
    shutil.copyfile(tiny_bundle.path / "bundle.toml", folder / "bundle.toml")


def test_every_bit_of_the_decisive_numbers_counts(folder):
    text = (folder / "bundle.toml").read_bytes()
    start = text.index(b"threshold = ") + len("threshold = ")
    for place in range(start, text.index(b"\n", start)):
        for bit in range(8):
            content = bytearray(text)
            content[place] ^= 1 << bit
            (folder / "bundle.toml").write_bytes(content)
            refusal(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("threshold = 0.5", "threshold = 0.1"),
        ("gsd_m = 0.3", "gsd_m = 0.8"),
        ("random weights", "careful weights"),
        ('"acc@0.25" = 0.5', '"acc@0.25" = 0.9'),
        ('"acc@0.25" = 0.5\n', ""),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(folder, old, new):
    stated = Bundle.open(folder).manifest.manifest_sha256
    edit(folder, old, new)
    error = refusal(folder)
    assert "bundle.toml was altered" in error.what
    assert error.expected == f'manifest_sha256 = "{stated}"'
    assert re.fullmatch("content of sha256 [0-9a-f]{64}", error.found)
    assert stated not in error.found
    assert "do not fly" in error.do


def test_a_manifest_without_its_hash_is_refused(folder):
    stated = Bundle.open(folder).manifest.manifest_sha256
    edit(folder, f'manifest_sha256 = "{stated}"\n', "")
    error = refusal(folder)
    assert "does not carry its own hash" in error.what
    assert "manifest_sha256" in error.expected
    assert error.found == "no such key"
    assert "export the bundle again" in error.do


def test_other_line_ends_and_comments_are_no_alteration(folder, tiny_bundle):
    text = (folder / "bundle.toml").read_text()
    (folder / "bundle.toml").write_bytes(("# seen\n" + text).replace("\n", "\r\n").encode())
    assert Bundle.open(folder).manifest == tiny_bundle.manifest
