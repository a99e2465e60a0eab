"""`auto`: what is kept, why, and what is left on disk."""

from __future__ import annotations

import dataclasses

import pytest
from small_graphs import small_bundle, small_encoder, small_localizer

from edge.bundle import ENCODER, LOCALIZER
from edge.engine_manifest import engines_folder, read_engine
from edge.errors import ExecutorError
from export.engines.auto import build_auto
from export.engines.build import build_engine
from export.engines.choice import Candidate, choose, measure
from export.engines.measuring import Latency
from export.verification.boxes import BoxAgreement

KINDS = (ENCODER, LOCALIZER)


def boxes(iou_median: float) -> BoxAgreement:
    return BoxAgreement(100, iou_median, iou_median, float(iou_median > 0.99), 1.0, 50)


class FakeMeasurer:
    """precision -> (p50 in ms, median IoU); what is missing fails."""

    inputs = "demo"

    def __init__(self, **numbers: tuple[float, float]) -> None:
        self.numbers = numbers

    def latency(self, precision: str) -> Latency:
        return Latency(self.numbers[precision][0], 2 * self.numbers[precision][0], 8)

    def agreement(self, precision: str) -> BoxAgreement:
        if precision not in self.numbers:
            raise ExecutorError("no memory left", expected="some", found="none", do="wait")
        return boxes(self.numbers[precision][1])


def chosen(**numbers: tuple[float, float]):
    return choose([measure(name, FakeMeasurer(**numbers)) for name in ("fp32", "fp16")])


def test_the_fastest_that_passes():
    choice = chosen(fp32=(4.0, 1.0), fp16=(2.0, 0.998))
    assert choice.precision == "fp16" and choice.measured
    assert choice.why == "the fastest that passes; fp32 takes 2.00 times as long"
    assert choice.lines[1] == ("fp16  2.00 ms (p99 4.00) for 8 clicks, median IoU 0.9980, passes")
    assert choice.lines[-1].startswith("kept: fp16, the fastest that passes")


def test_a_fast_one_that_is_wrong_is_not_kept():
    choice = chosen(fp32=(4.0, 1.0), fp16=(0.5, 0.60))
    assert choice.precision == "fp32"
    assert "fp16 fails (median IoU 0.6000, at least 0.99; " in choice.why


def test_a_narrow_one_that_is_slower_is_not_kept():
    choice = chosen(fp32=(2.0, 1.0), fp16=(2.6, 0.999))
    assert choice.precision == "fp32"


def test_one_that_cannot_be_measured_does_not_end_the_others():
    choice = chosen(fp32=(4.0, 1.0))
    assert choice.precision == "fp32"
    assert choice.candidates[1].words == "no memory left: none"


def test_none_passes():
    with pytest.raises(ExecutorError) as error:
        chosen(fp32=(4.0, 0.5), fp16=(2.0, 0.4))
    assert error.value.what == "no precision passes on this device"
    assert "fp16 2.00 ms" in error.value.found
    assert "tilefix verify BUNDLE --taps" in error.value.do


@pytest.mark.parametrize(("names", "kept"), [(("fp32", "fp16"), "fp16"), (("fp32",), "fp32")])
def test_without_a_device_a_rule_decides(names, kept):
    choice = choose([Candidate(name) for name in names], cannot_measure="no GPU")
    assert (choice.precision, choice.measured) == (kept, False)
    assert choice.why == "by rule, not by measurement: no GPU"


def test_random_pictures_have_limits_of_their_own():
    """Their clicks are weak: 86 of 100 boxes at IoU 0.99 is what the shipped float16 graphs do."""

    class Weak(FakeMeasurer):
        share = 0.86

        def agreement(self, precision: str) -> BoxAgreement:
            return BoxAgreement(100, 0.995, 0.0, self.share, 0.94, 50)

    measurer = Weak(fp16=(2.0, 1.0))
    assert measure("fp16", measurer).faults[0].startswith("86.0% of the boxes with IoU >= 0.99")
    measurer.inputs = "random"
    assert measure("fp16", measurer).faults == ()
    measurer.share = 0.5
    words = "50.0% of the boxes with IoU >= 0.99, at least 72.0%"
    assert measure("fp16", measurer).faults == (words,)
    eight = Weak(**{"int8+fp16": (1.0, 1.0)})
    eight.inputs = "random"
    assert measure("int8+fp16", eight).faults == (
        "random pictures do not judge INT8: give --inputs demo or a folder",
    )
    eight.inputs = "demo"
    assert measure("int8+fp16", eight).faults == ()


def folders(bundle) -> list:
    return [read_engine(path).key.precision for path in engines_folder(bundle).iterdir()]


def test_losers_are_removed_and_the_winner_says_why(bundle, settings):
    said = []
    measurer = FakeMeasurer(fp32=(4.0, 1.0), fp16=(2.0, 0.998))
    made = build_auto(bundle, KINDS, settings(), measurer, said.append)
    assert made.choice.precision == "fp16" and made.removed == ("fp32",)
    assert folders(bundle) == ["fp16", "fp16"]
    for each in made.kept:
        notes = read_engine(each.folder).notes
        assert notes == each.manifest.notes
        assert notes[-1] == "auto: kept: fp16, " + made.choice.why
        assert [note for note in notes if note.startswith("auto: fp32")]
        assert (each.folder / "timing.cache").is_file()
    assert "measuring fp32" in said and "measuring fp16" in said


def test_what_was_there_before_stays(bundle, settings):
    given = settings()
    before = build_engine(bundle, LOCALIZER, "fp32", given)
    measurer = FakeMeasurer(fp32=(4.0, 1.0), fp16=(2.0, 0.998))
    made = build_auto(bundle, KINDS, given, measurer)
    assert before.folder.is_dir()
    assert [each.folder for each in made.stayed] == [before.folder], "only what was new is removed"
    again = build_auto(bundle, KINDS, given, FakeMeasurer(fp32=(1.0, 1.0), fp16=(2.0, 0.998)))
    assert again.choice.precision == "fp32"
    notes = read_engine(before.folder).notes
    assert sum(note.startswith("auto: kept: ") for note in notes) == 1, "an old decision stayed"


def test_where_nothing_is_measured_all_stay(tiny, tmp_path, settings):
    bundle = small_bundle(tmp_path / "two", tiny.tiny_manifest())
    made = build_auto(bundle, KINDS, settings("11.4.1.0"), "this machine has no GPU of sm86")
    assert made.choice.precision == "fp16" and made.removed == ()
    assert sorted(folders(bundle)) == ["fp16", "fp16", "fp32", "fp32"]
    assert [each.manifest.key.precision for each in made.stayed] == ["fp32", "fp32"]


def test_without_a_plugin_what_needs_none_is_built(tiny, tmp_path, settings):
    """The plugin is an optimisation, and never a requirement."""
    graphs = {f"fp32/{LOCALIZER}": small_encoder(False)}  # of plain operators
    bundle = small_bundle(tmp_path / "two", tiny.tiny_manifest(), graphs)
    bare = dataclasses.replace(settings(), plugin=None)
    made = build_auto(bundle, KINDS, bare, FakeMeasurer(fp32=(4.0, 1.0)))
    assert made.choice.precision == "fp32" and folders(bundle) == ["fp32", "fp32"]
    assert "fp16  not built: it needs --plugin" in made.choice.lines
    assert "fp16 fails (not built: it needs --plugin)" in made.choice.why
    unmeasured = build_auto(bundle, KINDS, bare, "no GPU")
    assert unmeasured.choice.precision == "fp32", "fp16 would be named by rule, and is not there"


def test_where_all_need_a_plugin_that_is_the_error(bundle, settings):
    bare = dataclasses.replace(settings(), plugin=None)
    with pytest.raises(ExecutorError, match="no plugin was given"):
        build_auto(bundle, KINDS, bare, "no GPU")


def test_all_graphs_are_looked_at_before_the_first_is_built(tiny, tmp_path, settings):
    wrong = {f"fp16/{LOCALIZER}": small_localizer(half=False)}
    bundle = small_bundle(tmp_path / "wrong", tiny.tiny_manifest(), wrong)
    with pytest.raises(ExecutorError, match="is not fp16"):
        build_auto(bundle, KINDS, settings(), "no GPU")
    assert not engines_folder(bundle).exists()


def test_a_precision_without_limits_is_left_out(tiny, tmp_path, settings):
    graphs = {f"int8/{ENCODER}": small_encoder(True), f"int8/{LOCALIZER}": small_localizer(True)}
    bundle = small_bundle(tmp_path / "three", tiny.tiny_manifest(), graphs)
    assert bundle.precisions == ("fp16", "fp32", "int8")
    made = build_auto(bundle, KINDS, settings(), "no GPU")
    assert [each.precision for each in made.choice.candidates] == ["fp32", "fp16"]
