"""ONNX Runtime's form gets the blocks in float32 that it needs, and no more."""

import msgspec
import pytest
from asked_judge import BLOCKS
from made_scores import block

from calibration.int8_bundle import summary
from calibration.judging.budget import Finding, Holding
from calibration.judging.cpu_form import CpuForm, fit_cpu_form
from calibration.judging.judge import judge
from calibration.judging.record import CpuFormVerdict, Outcome
from calibration.quantization.qdq import Form
from edge.precisions import judged_form_note

HELD = Finding(Holding.HELD, "alignment", 0.4, 1.2)
BROKEN = Finding(Holding.BROKEN, "no prior", 1.4, 2.4)
LEFT = [block("a", 1.0)]


def never() -> tuple:
    raise AssertionError("blocks are tried alone only where the form breaks the budget")


def test_a_form_that_holds_as_it_is_stays_as_it_is():
    asked = []
    form = fit_cpu_form(LEFT, lambda blocks: asked.append(blocks) or HELD, never, 1.0)
    assert form == CpuForm(("a",), HELD, HELD) and form.holds
    assert asked == [("a",)]
    assert form.verdict == CpuFormVerdict(left_float=("a",), holds=True)


def test_the_least_blocks_are_left_and_none_is_judged_twice():
    reliefs = [block(f"localizer/{n}", 1.0 - n / 10) for n in range(8)]
    asked = []

    def trial(blocks):
        asked.append(blocks)
        return HELD if {"localizer/0", "localizer/2"} <= set(blocks) else BROKEN

    form = fit_cpu_form(LEFT, trial, lambda: reliefs, 1.0)
    assert form.left_float == ("a", "localizer/0", "localizer/1", "localizer/2")
    assert (form.more, form.finding, form.alike) == (3, HELD, BROKEN)
    assert asked[0] == ("a",) and len(set(asked)) == len(asked)


def test_where_no_mix_holds_the_graphs_are_those_of_the_other_form():
    form = fit_cpu_form(LEFT, lambda blocks: BROKEN, lambda: BLOCKS, 1.0)
    assert form == CpuForm(("a",), BROKEN, BROKEN) and not form.holds


def test_blocks_that_relieve_nothing_are_never_left():
    reliefs = [block("localizer/9", 0.4), *(block(f"localizer/{n}", 0.0) for n in range(9))]
    asked = []
    form = fit_cpu_form((), lambda blocks: asked.append(blocks) or BROKEN, lambda: reliefs, 1.0)
    assert asked == [(), ("localizer/9",)]
    assert not form.holds


def test_what_the_other_form_leaves_counts_against_the_gain():
    """Of 40 equal blocks 30 may be left at most, in all; 29 are in TensorRT's form."""
    left = [block(f"localizer/left{n}", 1.0) for n in range(29)]
    reliefs = [block(f"localizer/{n}", 1.0 - n / 100) for n in range(11)]
    asked = []
    fit_cpu_form(left, lambda blocks: asked.append(len(blocks)) or BROKEN, lambda: reliefs, 1.0)
    assert asked == [29, 30]


def test_a_form_that_holds_by_agreement_alone_says_so():
    agrees = Finding(Holding.AGREES, "agreement", 0.0, 0.0, 0.95)
    form = fit_cpu_form((), lambda blocks: agrees, never, 1.0)
    assert form.verdict == CpuFormVerdict(left_float=(), holds=True, by_agreement=True)


def test_the_judge_keeps_other_blocks_for_onnxruntime(asked):
    asked.needed_on_cpu = {BLOCKS[0].block}
    found = judge(asked.request(score_fp16=False))
    assert (found.outcome, found.left_float) == (Outcome.ACCEPTED, ())
    assert found.cpu_form is not None and found.cpu_form.holds
    assert found.cpu_form.left_float == (BLOCKS[0].block,)
    kept = {Form.TENSORRT: (), Form.ONNXRUNTIME: (BLOCKS[0].block,)}
    assert asked.written[0][1] == kept
    assert asked.timed == [(Form.ONNXRUNTIME, (BLOCKS[0].block,))]
    tried = [(each.precision, each.name) for each in found.candidates]
    assert tried == [
        ("int8+fp16", "minmax"),
        ("int8+fp32", "minmax"),
        ("int8+fp32", "minmax, 1 block float32"),
    ]
    told = next(each for each in found.reasons if "ONNX Runtime" in each)
    assert f"with 1 block more in float32 ({BLOCKS[0].block})" in told


def test_rejected_graphs_are_scored_once_and_not_searched(asked):
    asked.needed, asked.needed_on_cpu = {"no block"}, {BLOCKS[0].block}
    found = judge(asked.request(score_fp16=False))
    assert found.outcome is Outcome.REJECTED
    scored = [each.left_float for each in found.candidates if each.precision == "int8+fp32"]
    assert len(scored) == 1 and found.cpu_form is None


@pytest.mark.parametrize("holds", [True, False])
def test_the_record_says_whether_it_holds(asked, holds):
    asked.needed_on_cpu = set() if holds else {"no block"}
    found = judge(asked.request(score_fp16=False))
    assert found.cpu_form is not None and found.cpu_form.holds is holds
    told = next(each for each in found.reasons if "ONNX Runtime" in each)
    assert told.endswith("run fp32 instead") is not holds


def test_the_bundle_says_in_its_scores_which_blocks_or_that_float32_is_the_one(asked):
    asked.needed_on_cpu = {BLOCKS[0].block}
    found = judge(asked.request(score_fp16=False))
    assert summary(found)["onnxruntime"] == f"held, in float32: {BLOCKS[0].block}"
    assert summary(msgspec.structs.replace(found, cpu_form=None)).keys() == (
        summary(found).keys() - {"onnxruntime"}
    )
    held = CpuFormVerdict(left_float=(), holds=True)
    assert summary(msgspec.structs.replace(found, cpu_form=held))["onnxruntime"] == "held"
    alone = CpuFormVerdict(left_float=(), holds=True, by_agreement=True)
    said_alone = summary(msgspec.structs.replace(found, cpu_form=alone))["onnxruntime"]
    assert said_alone == "held, by agreement alone"
    broken = CpuFormVerdict(left_float=(), holds=False)
    said = {"int8": summary(msgspec.structs.replace(found, cpu_form=broken))}
    assert judged_form_note(said, "int8+fp32") is not None
