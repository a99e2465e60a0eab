"""A tiny bundle in INT8 with pictures to replay, its engines, and what a run says of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from fake_engines import PLUGIN, install, write_fake_engine
from fake_gpu import FakeGpu
from made_selection import made_selection

from calibration.replay_pictures import replay_files
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.engine_manifest import ENGINES_VARIABLE, read_engine
from edge.executors.base import open_executor
from edge.precisions import TENSORRT_FORM
from export.engines.build import BuiltEngine

GRAPHS = ("reference_encoder.onnx", "localizer.onnx")


def fake_device(patch: pytest.MonkeyPatch, engines: Path) -> FakeGpu:
    """Fakes of all libraries of a GPU; engines of every bundle go below `engines`."""
    patch.setenv(ENGINES_VARIABLE, str(engines))
    made = FakeGpu()
    for name, module in install(patch, made).items():
        module.__spec__ = ModuleSpec(name, None)  # a build asks whether there is one
    return made


def int8_tiny_bundle(
    make: Callable[..., Bundle],
    folder: Path,
    *,
    other: bool = False,
    pictures: bool = True,
    samples: tuple[Path, ...] = (),
) -> Bundle:
    """The tiny bundle whose INT8 graphs are those in fp32; `folder` is a new one.

    Args:
        make: the fixture `make_tiny_bundle`.
        folder: for the bundle, and what it is made of.
        other: whether TensorRT's graphs are of another seed, so that they find other boxes.
        pictures: whether it carries some, of a selection in `folder / "selection"`.
        samples: folders of held-out samples that they are of instead.
    """
    files: dict[str, bytes] = {}
    for form, seed in (("int8+fp32", 0), (TENSORRT_FORM, int(other))):
        made = make(folder / form, seed=seed)
        for part in GRAPHS:
            files[f"graphs/{form}/{part}"] = made.file(f"graphs/fp32/{part}").read_bytes()
    if pictures:
        selection = made_selection(folder / "selection", frames=3, windows=2)
        files |= replay_files(selection, samples)
    return make(folder / "bundle", extra_files=files)


def fake_built(
    bundle: Bundle, precision: str = TENSORRT_FORM, **changes: object
) -> list[BuiltEngine]:
    """Engines of encoder and localizer as a build leaves them; `changes` of the localizer's."""
    made = []
    for kind in (ENCODER, LOCALIZER):
        plugin = PLUGIN if kind == LOCALIZER else b""
        given = changes if kind == LOCALIZER else {}
        folder = write_fake_engine(bundle, kind, precision=precision, plugin=plugin, **given)
        made.append(BuiltEngine(folder, read_engine(folder), new=True))
    return made


def int8_notes(
    bundle: Bundle, precision: str = "int8", executor: str = "tensorrt"
) -> tuple[str, ...]:
    """What `tilefix run` would print of INT8 when it opens the engine."""
    opened = open_executor(executor, bundle, LOCALIZER, precision)
    said = tuple(note for note in opened.notes if "INT8" in note)
    opened.close()
    return said
