import msgspec
from made_scores import block, regime, score

from calibration.int8_bundle import summary
from calibration.judging.budget import Finding, Holding, apply_budget
from calibration.judging.cpu_form import CpuForm
from calibration.judging.record import (
    Change,
    ChangedVerdict,
    Outcome,
    RankedBy,
    Ranking,
    RealScore,
)
from calibration.judging.scores import Likeness
from calibration.judging.search import Found, Trial
from calibration.judging.verdict import (
    budget_sentence,
    headline,
    little_sentences,
    method_sentence,
    missing_sentence,
    outcome_of,
    reasons_of,
    share_sentences,
)
from tests.support.made_judgement import made_judgement

LABELLED = score(regime(change=(-0.4, -0.9, 0.1)))
HELD = apply_budget(LABELLED.regimes, 1.0)
BROKEN = Finding(Holding.BROKEN, "alignment", 2.4, 3.1)


def real(mean: float, low: float, high: float) -> RealScore:
    lost = ChangedVerdict(
        frame="site/1.jpg",
        object_id="site/barn",
        before="accepted, right",
        after="refused, wrong",
        iou_before=0.8,
        iou_after=0.1,
    )
    return RealScore(
        pairs=("made.json",),
        sightings=269,
        accuracy_25_before=0.9,
        accuracy_25_after=0.9 + mean / 100,
        change_25=Change(mean=mean, low=low, high=high),
        box_iou_median=0.95,
        changed=(lost,),
    )


def test_all_blocks_in_int8_are_accepted():
    found = Found((), (Trial((), HELD),))
    assert outcome_of(found, None) is Outcome.ACCEPTED
    (reason,) = reasons_of(found, 1.0, [LABELLED], None, None)
    assert reason == (
        "all blocks in INT8: no prior: loss of acc@0.25 0.40 points, at most 0.90 by its 95 % "
        "interval: shown to be within 1"
    )


def test_what_is_held_but_not_shown_says_so():
    finding = Finding(Holding.HELD, "no prior", 0.6, 1.6)
    (reason,) = reasons_of(Found((), (Trial((), finding),)), 1.0, [LABELLED], None, None)
    assert "the mean is within 1 and twice that is excluded" in reason
    assert "too few to show the upper end within it" in reason


def test_a_mix_names_its_blocks_and_what_it_was_needed_for():
    left = ("localizer/backbone._conv_stem",)
    found = Found(left, (Trial((), BROKEN), Trial(left, HELD)))
    assert outcome_of(found, None) is Outcome.MIXED
    first, names, without = reasons_of(found, 1.0, [LABELLED, LABELLED], None, None)
    assert first.startswith("1 block in float16 and the others in INT8: no prior: loss")
    assert names == "left in float16: localizer/backbone._conv_stem"
    assert without == (
        "with all blocks in INT8: alignment: loss of acc@0.25 2.40 points, at most 3.10 by its "
        "95 % interval: above 1"
    )


def test_where_nothing_helps_float16_is_kept_and_the_reason_tells_what_was_tried():
    left = tuple(each.block for each in (block("e/a", 1.0), block("e/b", 0.5)))
    found = Found(None, (Trial((), BROKEN), Trial(left, BROKEN)))
    assert outcome_of(found, None) is Outcome.REJECTED
    assert Outcome.REJECTED.value == "rejected: FP16 kept"
    (reason,) = reasons_of(found, 1.0, [LABELLED, LABELLED], None, None)
    assert "nor with the worst 2 blocks in float16" in reason and "above 1" in reason


def test_int8_that_saves_no_time_is_rejected_though_the_budget_holds():
    found = Found(None, (Trial((), HELD, saved_ms=-0.25),))
    assert outcome_of(found, None) is Outcome.REJECTED
    why, budget = reasons_of(found, 1.0, [LABELLED], None, None)
    assert why == (
        "INT8 saves no time on the device: in it all blocks together take 0.250 ms of a frame more "
        "than in FP16, and none is faster"
    )
    assert budget.startswith("all blocks in INT8: no prior: loss of acc@0.25 0.40 points")
    assert "does not hold" not in budget


def test_a_mix_that_speed_asks_for_says_so():
    left = ("localizer/slow",)
    found = Found(left, (Trial((), HELD, saved_ms=-0.5), Trial(left, HELD, saved_ms=0.5)))
    assert outcome_of(found, None) is Outcome.MIXED
    first, _, without = reasons_of(found, 1.0, [LABELLED, LABELLED], None, None)
    assert first.startswith("1 block in float16 and the others in INT8")
    assert without.endswith("shown to be within 1; but on the device that saves no time")


def test_an_interval_that_is_too_wide_is_told_from_a_loss_that_is_too_large():
    wide = Finding(Holding.BROKEN, "no prior", 0.6, 2.3)
    reason = reasons_of(Found(None, (Trial((), wide),)), 1.0, [LABELLED], None, None)[0]
    assert "its interval reaches beyond 2" in reason


def test_few_clicks_are_said_to_be_few_and_what_is_missing():
    few = score(regime(clicks=311, change=(-0.5, -3.0, 2.0)))
    finding = apply_budget(few.regimes, 1.0, agreement=0.957)
    reasons = reasons_of(Found((), (Trial((), finding),)), 1.0, [few], None, None)
    assert reasons[0] == (
        "all blocks in INT8: its boxes agree with float32's on the selection's pictures: a median "
        "IoU of 0.9570, at least 0.9 is asked"
    )
    assert "rests on agreement with float32 alone: 311 labelled" in reasons[1]
    assert "no prior: acc@0.25 changes by -0.50 points (-3.00 to 2.00)" in reasons[1]
    assert "from 2000 on" in reasons[1] and "tilefix datasets render" in reasons[1]
    assert missing_sentence(LABELLED.regimes) is None
    assert "0 labelled" in (missing_sentence(()) or "")


def test_the_median_that_was_found_is_in_the_sentence():
    apart = budget_sentence(apply_budget((), 1.0, agreement=0.8312), 1.0)
    assert "do not agree" in apart and "a median IoU of 0.8312, at least 0.9" in apart
    assert budget_sentence(apply_budget((), 1.0), 1.0) == (
        "its boxes were not compared with float32's"
    )


def test_few_clicks_that_refuse_are_not_said_to_have_decided_nothing():
    few = score(regime(clicks=450, change=(-9.0, -12.0, -6.0)))
    found = Found(None, (Trial((), apply_budget(few.regimes, 1.0, agreement=0.99)),))
    why, missing = reasons_of(found, 1.0, [few], None, None)
    assert why.endswith("loss of acc@0.25 9.00 points, at most 12.00 by its 95 % interval: above 1")
    assert missing.startswith("so few clicks can refuse: 450 labelled")
    assert "agreement with float32 alone" not in missing


def test_the_form_for_onnxruntime_is_told_and_decides_nothing():
    found = Found((), (Trial((), HELD),))
    reasons = reasons_of(found, 1.0, [LABELLED], CpuForm((), BROKEN, BROKEN), None)
    assert reasons[1].startswith("the form for ONNX Runtime (int8+fp32): alignment: loss")
    assert reasons[1].endswith("; in ONNX Runtime run fp32 instead")
    held = reasons_of(found, 1.0, [LABELLED], CpuForm((), HELD, HELD), None)
    assert held[1].startswith("the form for ONNX Runtime (int8+fp32): ")
    assert "float32" not in held[1] and "fp32 instead" not in held[1]


def test_blocks_that_only_the_form_for_onnxruntime_has_in_float32_are_named():
    found = Found(("a",), (Trial(("a",), HELD),))
    form = CpuForm(("a", "b", "c"), HELD, BROKEN, more=2)
    told = next(x for x in reasons_of(found, 1.0, [LABELLED], form, None) if "ONNX Runtime" in x)
    assert "with 2 blocks more in float32 (b, c): " in told
    assert told.endswith(f"; without these, {budget_sentence(BROKEN, 1.0)}")
    assert "run fp32" not in told


def test_a_loss_on_real_frames_refuses_where_it_is_not_chance():
    found = Found((), (Trial((), HELD),))
    assert outcome_of(found, real(-1.0, -2.5, 0.0)) is Outcome.ACCEPTED
    lost = real(-3.0, -5.0, -1.0)
    assert outcome_of(found, lost) is Outcome.REJECTED
    reason = reasons_of(found, 1.0, [LABELLED], None, lost)[-1]
    assert "acc@0.25 0.900 before and 0.870 after" in reason
    assert "1 of 269 verdicts changed; this loss is not chance" in reason


def test_the_methods_are_shown_best_first():
    tried = {"minmax": Likeness("IoU, made", 0.91), "mse": Likeness("IoU, made", 0.95)}
    sentence = method_sentence(tried, "mse")
    assert sentence == "ranges by mse: IoU, made: mse 0.9500, minmax 0.9100"
    assert "no other method" in method_sentence({}, "mse")


def test_a_model_that_is_mostly_attention_is_said_to_stay_float16():
    assert share_sentences({}) == ()  # rejected: nothing was kept
    (plain,) = share_sentences({"reference_encoder": 1.0, "localizer": 0.964})
    assert plain == (
        "multiply-accumulates in INT8 (int8+fp16): 100 % of those of the reference_encoder, "
        "96 % of those of the localizer"
    )
    (mostly,) = share_sentences({"reference_encoder": 0.004, "localizer": 0.21})
    assert "INT8 (int8+fp16): 0.4 % of those of the reference_encoder" in mostly
    assert "21 % of those of the localizer; the policy leaves attention" in mostly


def test_an_acceptance_that_changes_next_to_nothing_says_so() -> None:
    by_macs = Ranking(by=RankedBy.MACS, reason="no GPU")
    shares = {"reference_encoder": 0.0, "localizer": 0.004, "other": 0.1}
    none, little = little_sentences(Outcome.ACCEPTED, shares, (), by_macs)
    assert none == (
        "accepted, but none of the multiply-accumulates of the reference_encoder are INT8: the "
        "rest is float16 by policy, expect no gain in speed"
    )
    assert "accepted, but only 0.4 % of the multiply-accumulates of the localizer" in little
    left = ("localizer/backbone.1",)
    (mixed,) = little_sentences(Outcome.MIXED, {"localizer": 0.02}, left, by_macs)
    assert mixed.startswith("mixed, but only 2 %")
    assert "float16 by policy and because its blocks cost too much" in mixed
    timed = Ranking(by=RankedBy.LATENCY, device="Orin")
    (told,) = little_sentences(Outcome.ACCEPTED, {"localizer": 0.02}, (), timed)
    assert "expect" not in told, "the device was asked"
    assert little_sentences(Outcome.REJECTED, {}, (), by_macs) == ()


def test_the_headline_says_what_must_be_known_at_once() -> None:
    judgement = made_judgement(Outcome.ACCEPTED)
    assert headline(judgement) == "accepted"
    little = {"reference_encoder": 0.001, "localizer": 0.02}
    judgement = msgspec.structs.replace(judgement, int8_share_of_macs=little, base=None)
    assert headline(judgement) == (
        "accepted, by agreement alone, but at most 2 % of the work is INT8"
    )
    one = msgspec.structs.replace(judgement, int8_share_of_macs={**little, "localizer": 0.3})
    assert headline(one) == "accepted, by agreement alone"
    refused = msgspec.structs.replace(one, outcome=Outcome.REJECTED, int8_share_of_macs={})
    assert headline(refused) == "rejected: FP16 kept"


def test_few_labels_are_agreement_alone_in_the_headline_and_in_the_bundle() -> None:
    judgement = made_judgement()
    left = ", ".join(judgement.left_float)
    assert summary(judgement)["outcome"] == f"mixed: {left}"
    few = tuple(
        msgspec.structs.replace(each, clicks=21, clicks_on_map=15)
        for each in judgement.candidates[-1].regimes
    )
    scored = msgspec.structs.replace(judgement.candidates[-1], regimes=few)
    told = msgspec.structs.replace(judgement, candidates=(*judgement.candidates[:-1], scored))
    assert told.base is not None and headline(told) == "mixed, by agreement alone"
    assert summary(told)["outcome"] == f"mixed, by agreement alone: {left}"
