import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from edge.engine_manifest import (
    ENGINE_FILE,
    MANIFEST_FILE,
    PLUGIN_FILE,
    EngineKey,
    EngineManifest,
    LayerSummary,
    engines_folder,
    read_engine,
    write_engine,
)
from edge.engine_search import differences, find_engine
from edge.errors import ExecutorError, OutputError

ENGINE, PLUGIN = b"an engine" * 100, b"a library" * 10
REBUILD = "tilefix build somewhere --precision fp16"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


KEY = EngineKey(
    kind="localizer",
    toolkit="tensorrt",
    toolkit_version="10.3.0.30",
    onnx_sha256="aa" * 32,
    precision="fp16",
    compute_capabilities=("8.7",),
    gpu_name="Orin",
    plugin_sha256=sha256(PLUGIN),
    click_buckets=(1, 4),
    flags=("profiling=detailed",),
)


def manifest_of(key: EngineKey = KEY) -> EngineManifest:
    return EngineManifest(
        schema="",
        key=key,
        engine_sha256=sha256(ENGINE),
        engine_bytes=len(ENGINE),
        inputs=(),
        outputs=(),
        layers=LayerSummary(layers=3, plugin_layers=1),
    )


def written(folder, key: EngineKey = KEY):
    return write_engine(folder, manifest_of(key), {ENGINE_FILE: ENGINE, PLUGIN_FILE: PLUGIN})


def changed(**values) -> EngineKey:
    return msgspec.structs.replace(KEY, **values)


def test_an_engine_reads_back_and_leaves_nothing_beside_it(tmp_path):
    folder = written(tmp_path)
    assert read_engine(folder).key == KEY
    assert [path.name for path in tmp_path.iterdir()] == [KEY.digest()]
    again = written(tmp_path)
    assert again == folder and len(list(tmp_path.iterdir())) == 1


def test_every_field_of_the_key_is_in_the_digest():
    others = {
        "kind": "reference_encoder", "toolkit": "tensorrt_rtx", "toolkit_version": "10.3.0.31",
        "onnx_sha256": "bb" * 32, "precision": "fp32", "compute_capabilities": ("8.9",),
        "gpu_name": "Orin NX", "plugin_sha256": "", "click_buckets": (1,), "flags": (),
    }  # fmt: skip
    assert set(others) == set(EngineKey.__struct_fields__)
    digests = {changed(**{name: value}).digest() for name, value in others.items()}
    assert len(digests | {KEY.digest()}) == len(others) + 1


@pytest.mark.parametrize("name", [ENGINE_FILE, PLUGIN_FILE])
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_part_is_refused_before_anyone_loads_it(tmp_path, name, damage):
    part = written(tmp_path) / name
    content = part.read_bytes()
    if damage == "missing":
        part.unlink()
    else:
        part.write_bytes(content[:-1] + (b"" if damage == "truncated" else b"?"))
    with pytest.raises(ExecutorError, match=name) as error:
        read_engine(part.parent, REBUILD)
    assert error.value.do == f"build it again: {REBUILD}"


def test_a_manifest_that_is_not_one_is_refused(tmp_path):
    folder = written(tmp_path)
    path = folder / MANIFEST_FILE
    values = json.loads(path.read_text())
    for text, said in (
        ("{", "truncated"),
        (json.dumps({**values, "colour": 1}), "colour"),
        (json.dumps({**values, "schema": "tilefix-engine/0"}), "tilefix-engine/0"),
    ):
        path.write_text(text)
        with pytest.raises(ExecutorError, match=said) as error:
            read_engine(folder, REBUILD)
        assert error.value.do.endswith(f"delete it, and build it again: rm -r {folder}")


def test_an_engine_moved_into_another_folder_is_refused(tmp_path):
    folder = written(tmp_path)
    moved = folder.rename(tmp_path / "0123456789abcdef")
    with pytest.raises(ExecutorError, match=f"folder named {KEY.digest()}"):
        read_engine(moved)
    assert read_engine(moved, renamed=True).key == KEY, "a copy, whose bytes alone count"
    (moved / "engine.plan").write_bytes(b"other")
    with pytest.raises(ExecutorError, match="cannot be used"):
        read_engine(moved, renamed=True)


def test_a_link_and_a_point_are_the_folder_that_they_lead_to(tmp_path, monkeypatch):
    folder = written(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    assert read_engine(tmp_path / "link").key == KEY
    monkeypatch.chdir(folder)
    assert read_engine(Path()).key == KEY


def test_the_engine_that_fits_is_found(tmp_path):
    written(tmp_path, changed(gpu_name="Orin NX"))
    folder = written(tmp_path)
    assert find_engine(tmp_path, changed(click_buckets=()), REBUILD) == folder


def test_every_difference_of_the_nearest_engine_is_listed(tmp_path):
    written(tmp_path, changed(gpu_name="Orin NX", toolkit_version="10.7.0.1"))
    written(tmp_path, changed(gpu_name="A", toolkit_version="11.0", precision="fp32"))
    written(tmp_path, changed(kind="reference_encoder"))
    with pytest.raises(ExecutorError) as error:
        find_engine(tmp_path, KEY, REBUILD)
    assert error.value.expected == "toolkit_version 10.3.0.30; gpu_name Orin"
    assert error.value.found == "toolkit_version 10.7.0.1; gpu_name Orin NX"
    assert error.value.do == REBUILD


def test_where_there_is_no_engine_the_command_is_named(tmp_path):
    with pytest.raises(ExecutorError, match="none of this graph") as error:
        find_engine(tmp_path / "nowhere", KEY, REBUILD)
    assert error.value.do == REBUILD


def test_a_folder_that_cannot_be_read_blocks_nobody_and_is_named(tmp_path):
    damaged = written(tmp_path, changed(gpu_name="Orin NX"))
    (damaged / MANIFEST_FILE).write_text('{"schema": "tilefix-engine/2", "key": {}}')
    with pytest.raises(ExecutorError) as error:
        find_engine(tmp_path, KEY, REBUILD)
    said = f"{damaged} cannot be read by this version of tilefix: delete it"
    assert error.value.found == f"none of this graph; {said}"
    written(tmp_path, changed(toolkit_version="11.0"))
    with pytest.raises(ExecutorError) as error:
        find_engine(tmp_path, KEY, REBUILD)
    assert error.value.found == f"toolkit_version 11.0; {said}"
    folder = written(tmp_path)
    assert find_engine(tmp_path, KEY, REBUILD) == folder


def test_an_engine_built_ahead_of_time_serves_its_capabilities_and_no_others():
    ahead = changed(compute_capabilities=("8.6", "8.9"), gpu_name="")
    assert not differences(changed(compute_capabilities=("8.9",)), ahead)
    unlike = differences(KEY, ahead)
    assert [str(each) for each in unlike] == ["compute_capabilities: 8.6, 8.9, not 8.7"]


def test_the_variable_moves_the_engines(tmp_path, monkeypatch, tiny_bundle):
    monkeypatch.delenv("TILEFIX_ENGINES", raising=False)
    assert engines_folder(tiny_bundle) == tiny_bundle.path / "engines"
    monkeypatch.setenv("TILEFIX_ENGINES", str(tmp_path))
    assert engines_folder(tiny_bundle) == tmp_path / tiny_bundle.manifest.name


def test_a_folder_that_cannot_be_written_names_the_variable(tmp_path):
    blocked = tmp_path / "engines"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="TILEFIX_ENGINES"):
        written(blocked)


def test_a_part_that_is_not_what_the_manifest_says_leaves_nothing(tmp_path):
    with pytest.raises(ExecutorError, match=ENGINE_FILE):
        write_engine(tmp_path, manifest_of(), {ENGINE_FILE: b"another", PLUGIN_FILE: PLUGIN})
    assert not list(tmp_path.iterdir())


def test_an_engine_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    target = written(tmp_path)
    rename = Path.rename

    def refuse(self, to):
        if self.name == target.name and self != target:
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path)
    assert read_engine(target).key == KEY
    assert list(tmp_path.iterdir()) == [target]
