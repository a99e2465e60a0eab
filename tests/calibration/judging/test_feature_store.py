"""Features in INT8 get a verdict of their own, by the rule of the graphs."""

import msgspec
import pytest

from calibration.int8_bundle import summary
from calibration.judging.budget import Finding, Holding
from calibration.judging.feature_store import FLOAT, feature_verdict, state_of
from calibration.judging.judge import judge
from calibration.judging.record import Judgement, Outcome, StoreVerdict

SHOWN = Finding(Holding.SHOWN, "no prior", 0.2, 0.8)
HELD = Finding(Holding.HELD, "no prior", 0.6, 1.6)
LOST = Finding(Holding.BROKEN, "alignment", 2.4, 3.1)
WIDE = Finding(Holding.BROKEN, "no prior", 0.6, 2.3)
AGREES = Finding(Holding.AGREES, "agreement", 0.0, 0.0)
APART = Finding(Holding.BROKEN, "agreement", 0.0, 0.0)


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (SHOWN, StoreVerdict.HELD),
        (HELD, StoreVerdict.HELD),
        (LOST, StoreVerdict.COSTS),
        (WIDE, StoreVerdict.UNDECIDED),  # nobody has shown that it costs too much
        (AGREES, StoreVerdict.UNDECIDED),
        (APART, StoreVerdict.COSTS),
    ],
)
def test_the_three_words(finding, state) -> None:
    assert state_of(finding, 1.0) is state
    assert feature_verdict(finding, None, 1.0).verdict is state
    assert (state is StoreVerdict.HELD) == (FLOAT not in feature_verdict(finding, None, 1).sentence)


def test_the_sentence_tells_whose_loss_it_is() -> None:
    both = feature_verdict(LOST, SHOWN, 1.0).sentence
    assert both == (
        "features in INT8: costs too much: with the INT8 graphs: alignment: loss of acc@0.25 2.40 "
        "points, at most 3.10 by its 95 % interval: above 1; with the float32 graphs: no prior: "
        "loss of acc@0.25 0.20 points, at most 0.80 by its 95 % interval: shown to be within 1; it "
        "is the two together that cost too much: store features as float16; the verdict on the "
        "graphs stays as it is"
    )
    features = feature_verdict(LOST, LOST, 1.0).sentence
    assert "together" not in features and features.count("above 1") == 2
    with pytest.raises(ValueError, match="no graphs"):
        feature_verdict(None, None, 1.0)


def test_a_store_in_int8_that_holds_is_said_to(asked) -> None:
    found = judge(asked.request(int8_features=True))
    names = [each.name for each in found.candidates]
    assert names == ["fp16", "minmax", "minmax, features in int8", "minmax"]
    assert [each for each in asked.stored if each[1] == "int8"] == [("int8+fp16", "int8")]
    assert found.int8_features is not None and found.outcome is Outcome.ACCEPTED
    assert found.int8_features.verdict is StoreVerdict.HELD
    assert "`tilefix tiles encode --features int8` may be used" in found.int8_features.sentence
    assert found.int8_features.sentence in found.reasons
    assert found.int8_features.sentence in summary(found)["reasons"]
    assert summary(found)["int8_features"] == "held"


def test_features_that_cost_too_much_leave_the_graphs_accepted(asked) -> None:
    asked.store_loses = {"int8+fp16": 1.2, "fp32": 1.1}
    found = judge(asked.request(int8_features=True))
    assert found.outcome is Outcome.ACCEPTED and asked.written, "the graphs are kept"
    assert found.int8_features is not None
    assert found.int8_features.verdict is StoreVerdict.COSTS
    assert "store features as float16" in found.int8_features.sentence
    assert "loss of acc@0.25 1.10 points" in found.int8_features.sentence, "alone, too"
    names = [each.name for each in found.candidates]
    assert names[2:4] == ["minmax, features in int8", "fp32, features in int8"]


def test_features_can_hold_where_the_graphs_do_not(asked) -> None:
    """They are judged with the graphs that will fly: not with INT8's, which were rejected."""
    asked.needed = {"no block"}
    found = judge(asked.request(int8_features=True))
    assert found.outcome is Outcome.REJECTED and found.int8_features is not None
    assert found.int8_features.verdict is StoreVerdict.HELD
    assert "with the INT8 graphs" not in found.int8_features.sentence
    assert found.int8_features.sentence.endswith("though the graphs stay float16")
    assert [each for each in asked.stored if each[1] == "int8"] == [("fp32", "int8")]
    asked.store_loses = {"fp32": 5.0}
    found = judge(asked.request(int8_features=True))
    assert found.int8_features is not None
    assert found.int8_features.verdict is StoreVerdict.COSTS


def test_without_labels_it_is_undecided_and_float16_advised(asked) -> None:
    found = judge(asked.request(samples=(), int8_features=True))
    assert found.int8_features is not None
    assert found.int8_features.verdict is StoreVerdict.UNDECIDED
    assert found.int8_features.sentence.endswith(
        "store features as float16 until enough labelled clicks tell"
    )
    assert "a median IoU of 0.9500, at least 0.9" in found.int8_features.sentence
    assert "minmax, features in int8 (int8+fp16)" in [x.candidate for x in found.agreement]
    assert found.outcome is Outcome.ACCEPTED


def test_nothing_is_said_of_a_store_that_nobody_asked_for(asked) -> None:
    found = judge(asked.request())
    assert "int8_features" not in summary(found)
    assert found.int8_features is None and "features in INT8" not in " ".join(found.reasons)
    assert {stored for _, stored in asked.stored} == {"float16"}
    told = msgspec.to_builtins(found)
    del told["int8_features"]  # of an earlier version
    assert msgspec.convert(told, Judgement).int8_features is None
