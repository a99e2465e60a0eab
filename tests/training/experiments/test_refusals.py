"""What `tilefix experiment` refuses leaves nothing behind; what was damaged is named."""

import json
import sys

import pytest
from asked_experiments import call, on_squares, written

from edge.errors import ConfigError, DataError, OutputError, UsageError

FROM_SCRATCH = ("--from-scratch",)


def sweep(small_folder, out, *more: object) -> tuple[object, ...]:
    command = ("sigma-sweep", "ocgnet_cvogl_drone", "--sigma", 0.1)
    return (*command, *on_squares(small_folder, out), *more)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ((), UsageError),  # weights of others are missing
        ((*FROM_SCRATCH, "--option", "frame_hw_px=[32,32]"), DataError),
        ((*FROM_SCRATCH, "--set", "data.test=nowhere"), DataError),
        ((*FROM_SCRATCH, "--set", "run.accumulate=4"), ConfigError),
    ],
    ids=["weights", "size", "split", "batch"],
)
def test_a_refused_command_does_not_stand_in_the_way_of_the_right_one(
    small_folder, tmp_path, tiny, wrong, kind
) -> None:
    out = tmp_path / "sweep"
    refused = call(*sweep(small_folder, out, *wrong))
    assert isinstance(refused.exception, kind)
    assert not [path for path in out.rglob("*") if path.is_file()]
    done = call(*sweep(small_folder, out, *FROM_SCRATCH))
    assert done.exit_code == 0, done.exception
    assert len(written(out)["rows"]) == 1


def test_a_later_variant_is_looked_at_before_the_first_is_trained(
    small_folder, tmp_path, tiny, monkeypatch
) -> None:
    from training.tasks import opening

    build = opening.build

    def refusing(name, **options):
        if not options.get("mope", True):
            raise ValueError("no such thing")
        return build(name, **options)

    monkeypatch.setattr(opening, "build", refusing)
    out = tmp_path / "ablation"
    refused = call("ablation", "mogeo_cvogl_drone", *FROM_SCRATCH, *on_squares(small_folder, out))
    assert isinstance(refused.exception, ConfigError)
    assert not out.exists()


def test_a_refusal_on_the_way_keeps_what_was_measured(
    small_folder, tmp_path, tiny, monkeypatch
) -> None:
    from training.experiments import variants

    plain, scored = variants.score_test, []

    def score_test(*arguments):
        scored.append(arguments)
        if len(scored) == 2:
            raise DataError("a", expected="b", found="c", do="d")
        return plain(*arguments)

    monkeypatch.setattr(variants, "score_test", score_test)
    out = tmp_path / "sweep"
    command = sweep(small_folder, out, *FROM_SCRATCH, "--seed", 1, "--seed", 2)
    assert isinstance(call(*command).exception, DataError)
    assert (out / "experiment.json").exists()
    again = call(*command)
    assert again.exit_code == 0, again.exception
    assert "1 of 2" not in again.output


def test_a_seed_counts_once(small_folder, tmp_path, tiny) -> None:
    command = sweep(small_folder, tmp_path / "out", *FROM_SCRATCH)
    refused = call(*command, "--seed", 1, "--seed", 2, "--seed", 1).exception
    assert isinstance(refused, UsageError)
    assert refused.found == "1, 2, 1"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["sweep", "noise"])
def test_without_matplotlib_nothing_is_begun(
    small_folder, tmp_path, tiny, monkeypatch, name
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = tmp_path / "out"
    noise = ("click-noise", "none.safetensors", "--data", tmp_path, "--set", "rendered")
    commands = {
        "sweep": sweep(small_folder, out, *FROM_SCRATCH),
        "noise": (*noise, "--out", out),
    }
    refused = call(*commands[name]).exception
    assert isinstance(refused, ModuleNotFoundError) and refused.name == "matplotlib"
    assert not out.exists()


def test_a_file_in_the_place_of_the_folder_is_refused(small_folder, tmp_path, tiny) -> None:
    (tmp_path / "out").touch()
    refused = call(*sweep(small_folder, tmp_path / "out", *FROM_SCRATCH)).exception
    assert isinstance(refused, OutputError)
    assert "is no folder" in refused.what


def test_damaged_files_of_an_experiment_are_named(small_folder, tmp_path, tiny) -> None:
    out = tmp_path / "sweep"
    command = sweep(small_folder, out, *FROM_SCRATCH)
    assert call(*command).exit_code == 0
    for file, advice in (
        (out / "experiment.json", "give another --out; or remove"),
        (out / "runs" / "sigma-0.1-13" / "test.json", "remove it"),
    ):
        whole = file.read_bytes()
        for damage in (b"", b'{"experiment": "sig', b"[1]", b"\xff\xfe\x00"):
            file.write_bytes(damage)
            refused = call(*command).exception
            assert isinstance(refused, DataError)
            assert str(file) in refused.what and advice in refused.do
        file.write_bytes(whole)
    file.unlink()
    done = call(*command)
    assert done.exit_code == 0, done.exception
    assert json.loads(file.read_text()) == json.loads(whole), "as before"
