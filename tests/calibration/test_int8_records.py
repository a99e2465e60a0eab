"""What the README files say of INT8 is what the records hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from calibration.judging.record import (
    CandidateScore,
    CpuFormVerdict,
    Judgement,
    Outcome,
    RegimeScore,
)
from calibration.judging.search import most_left, ranked

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "benchmarks" / "records"
MAIN = (ROOT / "README.md").read_text()
INT8 = (RECORDS / "int8" / "README.md").read_text()
NO_VNNI = msgspec.json.decode(
    (RECORDS / "int8" / "judgement_no_vnni.json").read_bytes(), type=Judgement
)
JUDGEMENT = msgspec.json.decode((RECORDS / "int8" / "judgement.json").read_bytes(), type=Judgement)


def cells_of(text: str, label: str) -> list[str]:
    (line,) = [x for x in text.splitlines() if x.startswith(f"| {label} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def numbers(cell: str) -> list[float]:
    return [
        float(x) for x in re.findall(r"-?\d+\.?\d*", cell.replace(",", "").replace(" to ", " "))
    ]


def judged(name: str, precision: str) -> CandidateScore:
    (found,) = [x for x in JUDGEMENT.candidates if (x.name, x.precision) == (name, precision)]
    return found


@pytest.mark.parametrize("regime", [0, 1])
@pytest.mark.parametrize(
    ("name", "precision", "label"),
    [
        ("fp16", "fp16", "float16"),
        (JUDGEMENT.method, "int8+fp16", "all blocks in INT8"),
        (f"{JUDGEMENT.method}, features in int8", "int8+fp16", "the same, stored windows in INT8"),
        (JUDGEMENT.method, "int8+fp32", "ONNX Runtime's form"),
    ],
)
def test_the_table_of_the_costs_is_the_judgement(name, precision, label, regime) -> None:
    assert JUDGEMENT.base is not None
    score = judged(name, precision).regimes[regime]
    cells = cells_of(INT8, f"{label}, {('no prior', 'with alignment')[regime]}")
    assert numbers(cells[0]) == [score.clicks_on_map]
    base = JUDGEMENT.base.regimes[regime].accuracy_25
    assert numbers(cells[1]) == pytest.approx([base, score.accuracy_25], abs=6e-4)
    change = score.change_25
    assert numbers(cells[2]) == pytest.approx([change.mean, change.low, change.high], abs=6e-3)
    assert numbers(cells[3]) == pytest.approx([score.box_iou_median], abs=6e-4)


def test_the_words_under_it_are_the_judgement() -> None:
    assert JUDGEMENT.outcome is Outcome.ACCEPTED and JUDGEMENT.left_float == ()
    assert JUDGEMENT.int8_features is not None
    text = " ".join(INT8.split())
    assert f"windows stored in INT8 as well are *{JUDGEMENT.int8_features.verdict.value}*" in text
    assert f"on 60 of the samples: `{JUDGEMENT.method}` " in text, "the best comes first"
    (cpu_form,) = [x for x in JUDGEMENT.reasons if x.startswith("the form for ONNX Runtime")]
    assert JUDGEMENT.cpu_form == CpuFormVerdict(left_float=(), holds=True)
    assert "run fp32 instead" not in cpu_form
    assert "ONNX Runtime's form holds as it is" in text
    assert changed_verdicts() in text
    ratios = JUDGEMENT.latency_ratio
    assert f"the encoder is {ratios['reference_encoder']:.2f} times as fast as float32" in text
    assert f"the localizer {ratios['localizer']:.2f} times" in text
    for precision, words in (("int8+fp16", "(TensorRT)"), ("int8+fp32", "(ONNX Runtime)")):
        assert f"{size_share(precision)} {words}" in text


def test_the_sentences_of_the_main_page_are_the_judgement() -> None:
    assert JUDGEMENT.real is not None and JUDGEMENT.base is not None
    text = " ".join(MAIN.split())
    all_int8 = judged(JUDGEMENT.method, "int8+fp16").regimes
    assert f"judged on {all_int8[0].clicks_on_map:,} rendered clicks" in text
    assert f"{points(all_int8[0])} points without a prior ({interval(all_int8[0])})" in text
    assert f"{points(all_int8[1])} with alignment ({interval(all_int8[1])})" in text
    cpu_form = judged(JUDGEMENT.method, "int8+fp32").regimes[0]
    words = f"({points(cpu_form)} points, {interval(cpu_form)}"
    assert f"and so is, narrowly, ONNX Runtime's form {words}" in text
    other = next(x for x in NO_VNNI.candidates if x.precision == "int8+fp32").regimes[0]
    assert f"another calibration gave it {points(other)}, and said to run float32" in text
    assert f"all blocks in INT8 are *{JUDGEMENT.outcome.value}*" in text
    assert JUDGEMENT.int8_features is not None
    assert f"stored in INT8 as well are *{JUDGEMENT.int8_features.verdict.value}*" in text
    assert changed_verdicts() in text
    assert f"acc@0.25 stayed {JUDGEMENT.real.accuracy_25_after:.3f}" in text
    assert JUDGEMENT.real.accuracy_25_before == pytest.approx(JUDGEMENT.real.accuracy_25_after)
    sizes = f"{size_share('int8+fp16')} (TensorRT) and {size_share('int8+fp32')} (ONNX Runtime)"
    assert f"{sizes} of the float32 size" in text
    slow = NO_VNNI.latency_ratio
    assert f"without, the encoder was {slow['reference_encoder']:.2f} times as fast" in text
    assert f"as float32, the localizer {slow['localizer']:.2f} times" in text


def test_what_is_said_of_the_judgement_of_the_day_before_is_its_record() -> None:
    text = " ".join(INT8.split())
    both = [NO_VNNI.latency_ratio[graph] for graph in ("reference_encoder", "localizer")]
    assert f"cores without VNNI it was {both[0]:.2f} and {both[1]:.2f} times" in text
    kept, cpu_form = (
        next(x for x in NO_VNNI.candidates if (x.name, x.precision) == (NO_VNNI.method, form))
        for form in ("int8+fp16", "int8+fp32")
    )
    loss, cpu_loss = (-x.regimes[0].change_25.mean for x in (kept, cpu_form))
    assert NO_VNNI.outcome is Outcome.ACCEPTED
    aligned = -kept.regimes[1].change_25.mean
    said = f"without a prior {loss:.2f} points, with alignment {aligned:.2f}, by mse"
    assert f"{said}, and of ONNX Runtime's form {cpu_loss:.2f} without a prior, run float32" in text
    samples = [x.candidates[0].regimes[1].samples for x in (JUDGEMENT, NO_VNNI)]
    assert f"places {samples[0]} samples in place of {samples[1]}" in text
    assert any("run fp32 instead" in reason for reason in NO_VNNI.reasons)


def points(score: RegimeScore) -> str:
    return f"{score.change_25.mean:+.2f}"


def interval(score: RegimeScore) -> str:
    return f"{score.change_25.low:+.2f} to {score.change_25.high:+.2f}"


def changed_verdicts() -> str:
    assert JUDGEMENT.real is not None
    return f"{len(JUDGEMENT.real.changed)} of {JUDGEMENT.real.sightings} verdicts changed"


def size_share(precision: str) -> str:
    assert JUDGEMENT.base is not None
    share = judged(JUDGEMENT.method, precision).file_bytes / JUDGEMENT.base.file_bytes
    assert share <= 0.30
    return f"{100 * share:.0f} %"


def test_what_a_calibration_took_is_the_record() -> None:
    text = " ".join(INT8.split())
    took = json.loads((RECORDS / "int8" / "duration.json").read_text())
    assert f"For {took['frames_chosen']} frames and {took['windows_chosen']} windows" in text
    assert f"among {took['frames_looked_at']} and {took['windows_looked_at']} took" in text
    choice_s, ranges_s = took["selection_s"], took["ranges_and_qdq_s"]
    assert f"took {choice_s:.0f} s, ranges and Q/DQ {ranges_s:.0f} s" in text
    assert f"{took['peak_kib'] * 1024 / 1e9:.1f} GB at most" in text
    assert choice_s + ranges_s <= 300
    assert took["peak_kib"] * 1024 <= 3e9


def test_how_fast_it_is_with_vnni_is_the_record() -> None:
    record = json.loads((RECORDS / "int8" / "speed.json").read_text())
    assert record["environment"]["vnni"] in INT8 and record["environment"]["git_clean"]
    assert f"medians of {record['rounds']} runs in turns" in INT8
    assert len(record["graphs"]) == 6
    for row in record["graphs"]:
        name = row["graph"].replace("_", " ")
        cells = cells_of(INT8, f"{name}, {row['clicks'] or '-'}, {row['threads']}")
        fp32, int8, exact = row["median_ms"].values()
        assert row["int8_times_as_fast"] == fp32 / int8
        assert numbers(" ".join(cells)) == pytest.approx(
            [fp32, int8, fp32 / int8, exact], abs=0.051
        )
        assert row["exact_is_equal"]
    times = [row["int8_times_as_fast"] for row in record["graphs"]]
    assert min(times) >= 1.5
    assert f"INT8 is {min(times):.2f} to {max(times):.2f} times as fast as float32" in MAIN
    ratios = [
        x["median_ms"]["int8, told to be exact"] / x["median_ms"]["int8"] for x in record["graphs"]
    ]
    words = f"take {min(ratios):.1f} to {max(ratios):.1f} times as long"
    assert words in " ".join((ROOT / "calibration/README.md").read_text().split())


def test_the_record_says_which_block_would_be_left_first() -> None:
    order = ranked(JUDGEMENT.sensitivity, JUDGEMENT.frames_per_window)
    assert f"`{order[0].block}` would be the first" in " ".join(INT8.split())
    assert JUDGEMENT.frames_per_window == 30.0
    assert most_left(order) < len(order)
