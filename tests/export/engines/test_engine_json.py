"""The manifest of an engine: what is written into it, and one that cannot be read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.checkups.jetson import Jetson
from edge.engine_manifest import read_engine
from edge.errors import ExecutorError
from export.engines import build as builds
from export.engines.build import build_engine


def test_an_engine_whose_manifest_cannot_be_read_is_built_again(bundle, settings):
    """What it was is not known; what is built in its place is what was asked for."""
    given = settings()
    made = build_engine(bundle, "localizer", "fp16", given)
    (made.folder / "engine.json").write_text('{"schema": "tilefix-eng')
    said = []
    again = build_engine(bundle, "localizer", "fp16", given, said.append)
    assert again.new and again.folder == made.folder
    assert said[0] == (
        f"localizer fp16: {made.folder / 'engine.json'} cannot be read, so it is built again"
    )
    assert read_engine(again.folder).key == made.manifest.key
    newer = (again.folder / "engine.json").read_text().replace("tilefix-engine/1", "x/99")
    (again.folder / "engine.json").write_text(newer)
    with pytest.raises(ExecutorError, match="cannot be used") as caught:
        build_engine(bundle, "localizer", "fp16", given)
    assert caught.value.found == "schema x/99"
    assert (again.folder / "engine.json").read_text() == newer, "of another version: it stays"


def test_cuda_and_l4t_of_the_builder_are_written_down(bundle, settings, monkeypatch):
    """For people who look for a difference; the toolkit's version is what is compared."""
    monkeypatch.setattr(builds, "cuda_version", lambda: "12.6.11")
    monkeypatch.setattr(builds, "read_jetson", lambda: Jetson("Orin", 36, "4.3"))
    given = settings()
    made = build_engine(bundle, "reference_encoder", "fp16", given)
    assert (made.manifest.cuda, made.manifest.l4t) == ("12.6.11", "L4T 36.4.3")
    monkeypatch.setattr(builds, "cuda_version", lambda: None)
    monkeypatch.setattr(builds, "read_jetson", lambda: None)
    forced = replace(given, force=True)
    again = build_engine(bundle, "reference_encoder", "fp16", forced).manifest
    assert (again.cuda, again.l4t, again.key) == ("", "", made.manifest.key)
