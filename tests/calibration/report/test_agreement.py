"""Where agreement decided, it is drawn against size and time; no figure says more than it is."""

from __future__ import annotations

import msgspec
import pytest

from calibration.judging.record import (
    AgreementScore,
    GraphLatency,
    Judgement,
    Outcome,
    RankedBy,
    Ranking,
)
from calibration.report.accuracy import UNTIMED
from calibration.report.agreement import (
    LABEL,
    agreement_by_cpu_time,
    agreement_by_device_time,
    agreement_by_size,
    kept_median,
)
from calibration.report.page import Evidence, page
from calibration.report.tables import agreement_table
from tests.support.made_judgement import made_judgement, made_score


def compared(candidate: str, median: float, accepted: tuple[int, int] | None) -> AgreementScore:
    return AgreementScore(
        candidate=candidate,
        clicks=256,
        box_iou_median=median,
        box_iou_90=0.75,
        same_verdict=1.0,
        accepted=accepted,
    )


def unlabelled(left: tuple[str, ...] = ()) -> Judgement:
    """As the judge leaves it without samples; of a mix, all blocks in INT8 were tried first."""
    name = "mse, 1 block float16" if left else "mse"
    made = [made_score("mse", "int8+fp16", 0.0, 4_000_000)]
    if left:
        made.append(made_score(name, "int8+fp16", 0.0, 4_400_000, left_float=left))
    made.append(made_score(name, "int8+fp32", 0.0, 4_200_000, left_float=left))
    agreement = [compared(f"{x.name} ({x.precision})", 0.95 - n / 100, (0, 0)) for n, x in
                 enumerate(made)]  # fmt: skip
    return msgspec.structs.replace(
        made_judgement(Outcome.MIXED if left else Outcome.ACCEPTED),
        base=None,
        left_float=left,
        candidates=tuple(msgspec.structs.replace(each, regimes=()) for each in made),
        agreement=tuple(agreement),
        float32_bytes=16_700_000,
    )


def test_all_that_was_compared_has_a_size_and_float32_agrees_with_itself() -> None:
    points = agreement_by_size(unlabelled(("e/0",)))
    assert [(p.label, p.x, p.y) for p in points] == [
        ("fp32", 16.7, 1.0),
        ("mse (int8+fp16)", 4.0, 0.95),
        ("mse, 1 block float16 (int8+fp16)", 4.4, pytest.approx(0.94)),
        ("mse, 1 block float16 (int8+fp32)", 4.2, pytest.approx(0.93)),
    ]
    untold = msgspec.structs.replace(unlabelled(), float32_bytes=0)  # of an earlier version
    assert [p.label for p in agreement_by_size(untold)] == ["mse (int8+fp16)", "mse (int8+fp32)"]


def test_what_was_timed_stands_at_its_time() -> None:
    points = agreement_by_cpu_time(unlabelled(("e/0",)))
    assert [(p.label, p.x) for p in points] == [
        ("fp32, 16.7 MB", 1.0),
        ("int8+fp16, 4.4 MB", None),
        ("int8+fp32, 4.2 MB", pytest.approx(1 / 1.31)),
    ]
    assert agreement_by_device_time(unlabelled()) == []
    graph = GraphLatency(
        graph="localizer", fp16_ms=4.0, int8_ms=2.0, fp16_elsewhere_ms=0, int8_elsewhere_ms=0
    )
    ranking = Ranking(by=RankedBy.LATENCY, device="Orin", graphs=(graph,))
    timed = msgspec.structs.replace(unlabelled(), ranking=ranking)
    points = agreement_by_device_time(timed)
    assert [(p.label, p.x) for p in points] == [
        ("int8+fp16, 4.0 MB", 2.0),
        ("int8+fp32, 4.2 MB", None),
    ]
    assert "localizer&#x27;s layers on Orin, ms" in page(Evidence("lite", timed, {}, ()))


def test_the_page_draws_them_where_nothing_is_labelled_and_where_too_little_is() -> None:
    label = LABEL.replace("'", "&#x27;")
    text = page(Evidence("lite", unlabelled(), {}, ()))
    assert text.count(f">{label}<") == 2 and UNTIMED in text
    assert ">0.950<" in text and ">24%<" in text, "the tiles"
    assert "<h2>Agreement with float32</h2>" in text and "<h2>Accuracy</h2>" not in text
    whole = made_judgement()
    named = tuple(compared(f"{x.name} ({x.precision})", 0.9, (1, 1)) for x in whole.candidates)
    whole = msgspec.structs.replace(whole, agreement=named)
    assert kept_median(whole) is None and label not in page(Evidence("lite", whole, {}, ()))
    few = tuple(
        msgspec.structs.replace(
            each,
            regimes=tuple(msgspec.structs.replace(x, clicks_on_map=15) for x in each.regimes),
        )
        for each in whole.candidates
    )
    text = page(Evidence("lite", msgspec.structs.replace(whole, candidates=few), {}, ()))
    assert text.count(f">{label}<") == 2 and ">acc@0.25 in %, no prior<" in text
    assert "by agreement alone" in text


def test_equal_verdicts_say_nothing_where_no_click_was_accepted() -> None:
    scores = [compared("a", 0.9, (0, 0)), compared("b", 0.9, (12, 1100)), compared("c", 0.9, None)]
    rows = agreement_table(scores).split("<tr>")[2:]
    assert "<td>0, 0</td><td>-</td>" in rows[0]
    assert "<td>12, 1,100</td><td>100.0%</td>" in rows[1]
    assert "<td>not told</td><td>100.0%</td>" in rows[2]  # of an earlier version
    told = msgspec.to_builtins(scores[0])
    del told["accepted"]
    assert msgspec.convert(told, AgreementScore).accepted is None
