"""The course of a judgement, with scores out of a table in place of graphs."""

import msgspec
import pytest
from asked_judge import BLOCKS, ranges

from calibration.judging import judge as judging
from calibration.judging.judge import KEPT, judge
from calibration.judging.record import (
    GraphLatency,
    Judgement,
    Outcome,
    RankedBy,
    Ranking,
)
from calibration.judging.verdict import headline, latency_sentences
from calibration.quantization.qdq import Form
from edge.errors import CalibrationError, UsageError


def test_what_loses_nothing_is_accepted_with_both_forms_scored(asked):
    found = judge(asked.request())
    assert found.outcome is Outcome.ACCEPTED and found.left_float == ()
    assert found.base is not None and found.base.name == "fp32"
    tried = [(each.name, each.precision) for each in found.candidates]
    assert tried == [("fp16", "fp16"), ("minmax", "int8+fp16"), ("minmax", "int8+fp32")]
    none = {Form.TENSORRT: (), Form.ONNXRUNTIME: ()}
    assert asked.written == [("minmax", none, asked.work / KEPT)]
    assert found.cpu_form is not None and found.cpu_form.holds
    assert found.graph_sha256 == {"graphs/int8+fp32/localizer.onnx": "sha"}
    assert found.samples == ("held",) and len(found.agreement) == 1


def test_the_method_that_answers_most_like_float32_is_kept(asked):
    asked.likeness = {"minmax": 0.9, "mse": 0.97, "entropy": 0.8}
    found = judge(asked.request(methods=tuple(asked.likeness)))
    assert found.method == "mse"
    assert asked.written[0][0] == "mse"
    assert found.reasons[-2] == (
        "ranges by mse: likeness, made: mse 0.9700, minmax 0.9000, entropy 0.8000"
    )


def test_blocks_that_cost_too_much_stay_float16(asked):
    asked.needed = {BLOCKS[0].block, BLOCKS[2].block}
    found = judge(asked.request(score_fp16=False))
    assert found.outcome is Outcome.MIXED
    assert found.left_float == tuple(each.block for each in BLOCKS[:3])
    assert [len(each.left_float) for each in found.candidates] == [0, 1, 2, 4, 3, 3]
    assert found.candidates[-1].precision == Form.ONNXRUNTIME.value
    assert asked.written[0][1] == dict.fromkeys(Form, found.left_float)


def test_what_was_timed_is_no_reason(asked):
    """Two runs of one calibration end with the same reasons, whatever else the machine does."""
    asked.ratio = 0.93
    slow = judge(asked.request())
    asked.ratio = 1.4
    assert slow.reasons == judge(asked.request()).reasons
    assert slow.latency_ratio == {"localizer": 0.93}
    assert latency_sentences(slow.latency_ratio) == (
        "in ONNX Runtime on this CPU INT8 saves no time in the localizer: it is 0.93 times as fast "
        "as float32",
    )
    assert latency_sentences({"localizer": 1.01}) == ()


def test_where_nothing_helps_no_graph_is_kept(asked):
    asked.needed = {"no block"}
    (asked.work / KEPT).mkdir()  # of an earlier judgement
    found = judge(asked.request())
    assert found.outcome is Outcome.REJECTED
    assert (found.left_float, found.graph_sha256, asked.written) == ((), {}, [])
    assert found.int8_share_of_macs == {} and "in INT8:" not in " ".join(found.reasons)
    assert not (asked.work / KEPT).exists()


def test_without_samples_agreement_decides_and_the_verdict_says_so(asked):
    found = judge(asked.request(samples=()))
    assert found.outcome is Outcome.ACCEPTED and found.base is None
    assert "rests on agreement with float32 alone: 0 labelled" in " ".join(found.reasons)
    asked.median = 0.5
    assert judge(asked.request(samples=())).outcome is Outcome.REJECTED


def test_few_labels_leave_the_decision_to_the_selection_s_boxes(asked):
    """The samples' own boxes, whose median is 0.95 of few clicks, are not asked."""
    asked.clicks, asked.median = 15, 0.93
    found = judge(asked.request(int8_features=True))
    assert found.outcome is Outcome.ACCEPTED and found.base is not None
    assert headline(found) == "accepted, by agreement alone"
    names = ["minmax (int8+fp16)", "minmax (int8+fp32)", "minmax, features in int8 (int8+fp16)"]
    assert sorted(each.candidate for each in found.agreement) == sorted(names)
    asked.median = 0.89
    refused = judge(asked.request(int8_features=True))
    assert refused.outcome is Outcome.REJECTED
    assert "a median IoU of 0.8900" in refused.reasons[0]
    assert refused.int8_features is not None and "0.8900" in refused.int8_features.sentence


def test_the_size_of_float32_s_graphs_is_told_without_labels_too(asked):
    assert judge(asked.request()).float32_bytes == 1
    assert judge(asked.request(samples=())).float32_bytes == 1


def test_the_weight_of_the_encoder_reaches_the_search_and_the_record(asked, monkeypatch):
    given = []
    real = judging.search
    monkeypatch.setattr(
        judging, "search", lambda blocks, judge, frames: given.append(frames) or real(blocks, judge)
    )
    assert judge(asked.request(frames_per_window=4.0)).frames_per_window == 4.0
    assert given == [4.0]
    for odd in (0.0, 0.5, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="cannot serve so many frames"):
            judge(asked.request(frames_per_window=odd))


def test_latency_changes_which_blocks_are_left_and_the_record_says_so(asked, monkeypatch):
    """The fourth block saves next to nothing on the device, so it goes first, and alone will do."""
    saved = {each.block: 1.0 for each in BLOCKS} | {BLOCKS[3].block: 0.001}
    timed = [msgspec.structs.replace(each, latency_ms=saved[each.block]) for each in BLOCKS]
    given = []
    monkeypatch.setattr(
        judging, "sensitivities", lambda *_, latency_ms, **__: given.append(latency_ms) or timed
    )
    asked.needed = {BLOCKS[3].block}
    graphs = (
        GraphLatency(
            graph="localizer", fp16_ms=9.0, int8_ms=2.5, fp16_elsewhere_ms=1, int8_elsewhere_ms=1
        ),
    )
    ranking = Ranking(by=RankedBy.LATENCY, device="Orin, TensorRT 10.3", saved_ms=saved)
    ranking = msgspec.structs.replace(ranking, graphs=graphs)
    found = judge(asked.request(ranking=ranking))
    assert found.left_float == (BLOCKS[3].block,) and found.ranking == ranking
    assert given == [saved]
    assert any(
        "blocks ranked by the milliseconds that INT8 saves of them on Orin, TensorRT 10.3; of both "
        "graphs, one run of each, 6.50 ms" in reason
        for reason in found.reasons
    )


def test_int8_that_is_slower_on_the_device_is_rejected_whatever_it_costs(asked, monkeypatch):
    saved = {each.block: -0.125 for each in BLOCKS}
    timed = tuple(msgspec.structs.replace(each, latency_ms=-0.125) for each in BLOCKS)
    monkeypatch.setattr(judging, "sensitivities", lambda *_, **__: timed)
    ranking = Ranking(by=RankedBy.LATENCY, device="Orin, TensorRT 10.3", saved_ms=saved)
    found = judge(asked.request(ranking=ranking))  # which loses nothing
    assert (found.outcome, found.left_float) == (Outcome.REJECTED, ())
    assert found.graph_sha256 == {} and asked.written == []
    assert "INT8 saves no time on the device" in found.reasons[0]
    assert "1.000 ms of a frame more than in FP16" in found.reasons[0]


def test_without_a_device_the_judgement_says_by_macs_and_why(asked):
    asked.needed = {BLOCKS[3].block}
    found = judge(asked.request(ranking=Ranking(by=RankedBy.MACS, reason="no TensorRT")))
    assert found.left_float == tuple(each.block for each in BLOCKS[:4])
    assert found.ranking == Ranking(by=RankedBy.MACS, reason="no TensorRT")
    assert "blocks ranked by MACs: no TensorRT" in found.reasons
    half = Ranking(by=RankedBy.LATENCY, device="Orin", saved_ms={BLOCKS[0].block: 1.0})
    told = judge(asked.request(ranking=half)).ranking  # the fake's blocks have no latency
    assert told is not None and told.by is RankedBy.MACS and "no latency is known" in told.reason


def test_a_judgement_of_an_earlier_version_can_be_read(asked):
    found = judge(asked.request())
    told = msgspec.to_builtins(found)
    del told["ranking"]
    assert msgspec.convert(told, Judgement).ranking is None


def test_a_judgement_can_be_written_and_read(asked):
    found = judge(asked.request())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Judgement) == found


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"methods": ()}, UsageError, "nothing to judge"),
        ({"budget_points": 0.0}, UsageError, "cannot work to this budget"),
        ({"every": 0}, UsageError, "cannot work to this budget"),
        ({"samples": ("held", "held")}, CalibrationError, "named twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(asked, changes, error, text):
    with pytest.raises(error, match=text):
        judge(asked.request(**changes))


def test_ranges_of_another_graph_or_selection_are_refused(asked):
    import dataclasses

    request = asked.request()
    for stale in (ranges("minmax", encoder="old"), ranges("minmax", selection="old")):
        with pytest.raises(CalibrationError, match="found for something else"):
            judge(dataclasses.replace(request, ranges={"minmax": stale}))


def test_hardly_any_work_in_int8_is_said_before_all_else(asked):
    asked.shares = {"reference_encoder": 0.9, "localizer": 0.02}
    found = judge(asked.request())
    assert found.reasons[0] == (
        "accepted, but only 2 % of the multiply-accumulates of the localizer are INT8: the rest is "
        "float16 by policy, expect no gain in speed"
    )
    asked.shares = {"localizer": 0.9}
    assert judge(asked.request()).reasons[0].startswith("all blocks in INT8")
