"""Opening an engine: what is checked first, what is refused, and that a refusal leaves nothing."""

from __future__ import annotations

import gc
import os
import sys

import fake_engines
import pytest
from advised_commands import parsed
from fake_engines import PLUGIN, write_fake_engine
from fake_tensorrt import SCRATCH_BYTES

from edge.bundle import ENCODER, LOCALIZER
from edge.engine_manifest import ENGINE_FILE, ENGINES_VARIABLE, PLUGIN_FILE, read_engine
from edge.errors import ExecutorError
from edge.executors.rtx_cache import CACHE_FILE
from edge.executors.trt_runtime import load_tensorrt

both = pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"], indirect=True)
rtx = pytest.mark.parametrize("name", ["tensorrt-rtx"], indirect=True)


def assert_nothing_is_left(gpu):
    gc.collect()
    gpu.assert_all_is_given_back()
    assert gpu.retained == 0


def advised(caught):
    """The commands in the advice of an error, parsed by the verbs that they name."""
    text = caught.value.do
    return parsed(text[text.index("tilefix ") :])


@pytest.fixture
def engines(tmp_path, monkeypatch, rig):
    """An empty folder in place of that with the fitting engines."""
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "others"))
    return tmp_path / "others" / "tiny"


# --- library and plugin ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "module", "install"),
    [
        ("tensorrt", "tensorrt", "--system-site-packages"),
        ("tensorrt-rtx", "tensorrt_rtx", "pip install tensorrt-rtx"),
    ],
    indirect=["name"],
)
def test_a_missing_library_is_named(rig, monkeypatch, name, module, install):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExecutorError, match=f"the executor {name} is not available") as caught:
        rig.open()
    assert caught.value.expected == f"the library {module}"
    assert install in caught.value.do
    assert_nothing_is_left(rig.gpu)


def test_the_plugin_is_registered_before_the_engine_and_once(rig, engines):
    write_fake_engine(rig.bundle, LOCALIZER, plugin=PLUGIN)
    write_fake_engine(rig.bundle, ENCODER, plugin=PLUGIN)
    with rig.open(), rig.open(ENCODER):
        assert rig.trt.knobs.log == ["load_library", "deserialize", "deserialize"]
        (path,) = rig.trt.libraries
        assert path.startswith(str(engines))
        assert path.endswith(PLUGIN_FILE)


def test_a_second_plugin_in_one_process_is_refused(rig, engines):
    write_fake_engine(rig.bundle, LOCALIZER, plugin=PLUGIN)
    write_fake_engine(rig.bundle, ENCODER, plugin=b"another")
    with rig.open():
        with pytest.raises(ExecutorError, match="two different plugin libraries") as caught:
            rig.open(ENCODER)
        assert advised(caught)[1][1]["bundle"] == rig.bundle.path


def test_a_plugin_that_cannot_be_loaded(rig, engines):
    write_fake_engine(rig.bundle, LOCALIZER, plugin=PLUGIN)
    rig.trt.knobs.refuse_library = True
    with pytest.raises(ExecutorError, match="cannot load the plugin library") as caught:
        rig.open()
    (_, compiled), (_, told) = advised(caught)
    assert compiled["arch"] == "87" and told["plugin"] == compiled["out"] and told["force"]
    assert rig.trt.knobs.log == ["load_library"], "nothing is deserialised without its plugin"
    assert_nothing_is_left(rig.gpu)


@pytest.mark.parametrize("damage", ["truncated", "altered", "no plugin", "other plugin"])
def test_a_damaged_engine_is_refused_before_anything_is_loaded(rig, engines, damage):
    folder = write_fake_engine(rig.bundle, LOCALIZER, plugin=PLUGIN)
    plan, plugin = folder / ENGINE_FILE, folder / PLUGIN_FILE
    if damage == "truncated":
        plan.write_bytes(plan.read_bytes()[:-1])
    elif damage == "altered":
        plan.write_bytes(plan.read_bytes()[:-1] + b" ")
    elif damage == "no plugin":
        plugin.unlink()
    else:
        plugin.write_bytes(b"another")
    with pytest.raises(ExecutorError, match="cannot be used") as caught:
        rig.open()
    assert (PLUGIN_FILE if "plugin" in damage else ENGINE_FILE) in caught.value.expected
    assert advised(caught)[-1][1]["buckets"] == "1,4,16,64"
    assert rig.trt.knobs.log == []
    assert_nothing_is_left(rig.gpu)


def test_an_engine_that_tensorrt_refuses_says_what_tensorrt_said(rig, engines, monkeypatch):
    monkeypatch.setattr(fake_engines, "fake_plan", lambda *args, **named: b"ftrt garbage")
    write_fake_engine(rig.bundle, LOCALIZER)
    with pytest.raises(ExecutorError, match=r"tensorrt 10\.3\.0 refuses the engine") as caught:
        rig.open()
    assert caught.value.found == "Error Code 1: Serialization (magicTag failed)"
    assert advised(caught)[0][1]["force"]
    assert_nothing_is_left(rig.gpu)


# --- a failure on the way leaves nothing ----------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("knob", "value", "text"),
    [
        ("refuse_enqueue", True, "refuses to run its engine"),
        ("refuse_address", "click_xy_px", "refuses to run its engine"),
        ("allocates_in_capture", True, "no CUDA graph can be captured for 1 clicks"),
    ],
)
def test_a_refusal_of_tensorrt(rig, knob, value, text):
    setattr(rig.trt.knobs, knob, value)
    with pytest.raises(ExecutorError, match=text) as caught:
        rig.open()
    if knob != "allocates_in_capture":
        assert advised(caught)[0][1]["bundle"] == rig.bundle.path
    assert_nothing_is_left(rig.gpu)


@pytest.mark.parametrize("free", [1000, 40_000, 64 * SCRATCH_BYTES, 300_000])
@pytest.mark.parametrize("backend", ["cuda-python", "pycuda"], indirect=True)
def test_too_little_memory(rig, free, backend):
    rig.gpu.total_bytes = free
    with pytest.raises(ExecutorError, match="cuMemAlloc failed") as caught:
        rig.open()
    assert "CUDA_ERROR_OUT_OF_MEMORY" in caught.value.found
    assert "fewer click buckets" in caught.value.do
    gc.collect()
    rig.gpu.assert_all_is_given_back()


@pytest.mark.parametrize("call", ["cuStreamCreate", "cuMemHostAlloc", "cuGraphInstantiate"])
def test_a_driver_that_fails_amid_opening(rig, call):
    rig.gpu.fail[call] = 700
    with pytest.raises(ExecutorError, match=f"{call} failed"):
        rig.open()
    assert_nothing_is_left(rig.gpu)


@rtx
def test_a_capture_that_cannot_be_is_an_error_and_no_silent_change(rig):
    rig.trt.knobs.not_capturable = True
    with pytest.raises(ExecutorError, match="no CUDA graph can be captured for 1 clicks") as caught:
        rig.open()
    assert "--no-cuda-graphs" in caught.value.do
    assert_nothing_is_left(rig.gpu)
    rig.open(graphs=False).close()


def test_a_device_is_closed_also_where_its_engine_cannot_be_given_back(rig):
    executor = rig.open()
    rig.gpu.fail["cuStreamDestroy"] = 700
    with pytest.raises(ExecutorError, match="cuStreamDestroy failed"):
        executor.close()
    assert rig.gpu.retained == 0


# --- the runtime cache of TensorRT-RTX ------------------------------------------------------------


@rtx
def test_what_rtx_compiled_is_kept_beside_the_engine(rig, engines):
    cache = write_fake_engine(rig.bundle, LOCALIZER, "tensorrt_rtx") / CACHE_FILE
    with rig.open() as executor:
        assert executor.notes == ()
    assert cache.read_bytes() == b" compiled"
    os.utime(cache, (1, 1))
    rig.open().close()
    assert cache.stat().st_mtime == 1, "nothing was compiled, so nothing is written"
    assert [path.name for path in cache.parent.iterdir() if path.name.startswith(".")] == []


@rtx
def test_a_cache_of_another_driver_is_made_anew_and_said(rig, engines):
    cache = write_fake_engine(rig.bundle, LOCALIZER, "tensorrt_rtx") / CACHE_FILE
    cache.write_bytes(b"of another driver")
    rig.trt.knobs.cache_is_foreign = True
    with rig.open() as executor:
        assert "made anew" in executor.notes[0]
    assert cache.read_bytes() == b" compiled"


@rtx
def test_a_folder_that_cannot_be_written_is_a_note(rig, engines, monkeypatch):
    write_fake_engine(rig.bundle, LOCALIZER, "tensorrt_rtx")

    def refuse(**_named):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edge.executors.rtx_cache.tempfile.mkstemp", refuse)
    with rig.open() as executor:
        assert "every start compiles anew: Permission denied" in executor.notes[0]


def test_the_real_rtx_refuses_what_is_no_engine(tmp_path):
    """The one part of the real library that runs without a GPU."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    (tmp_path / ENGINE_FILE).write_bytes(b"no engine at all" * 64)
    library = load_tensorrt("tensorrt_rtx", "tensorrt-rtx")
    assert library is load_tensorrt("tensorrt_rtx", "tensorrt-rtx"), "once in a process"
    with pytest.raises(ExecutorError, match="refuses the engine") as caught:
        library.deserialise(library.start(), tmp_path, "tilefix build")
    assert "magicTag" in caught.value.found


def test_the_real_rtx_refuses_what_is_no_plugin(rig, engines, monkeypatch):
    """It names the reason, which it does only where a runtime was made before."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    folder = write_fake_engine(rig.bundle, LOCALIZER, plugin=PLUGIN)
    monkeypatch.undo()  # the real modules again
    library = load_tensorrt("tensorrt_rtx", "tensorrt-rtx")
    runtime = library.start()
    with pytest.raises(ExecutorError, match="cannot load the plugin library") as caught:
        library.load_plugin(folder, read_engine(folder), "tilefix build")
    assert "file too short" in caught.value.found
    assert library.plugin_sha256 == ""
    del runtime
