"""The study of fine-tuning: which samples, and what is summed up."""

from __future__ import annotations

import pytest

from benchmarks.studies.qat import FLOAT, INT8, TUNED_INT8, plan, summary


def row(model: str, sample: int, iou: list[float], **more: object) -> dict[str, object]:
    return {
        "model": model,
        "folder": "a",
        "sample": sample,
        "present": [True, True, False],
        "iou": [*iou, 0.9],
        "iou_to_float": [1.0, 0.8, 0.6],
        "v": 0.9,
        "u": 0.8,
        "query": [0.9, 0.9, 0.6],
        **more,
    }


def test_samples_are_spread_and_a_shorter_run_is_the_beginning_of_a_longer_one() -> None:
    chosen = plan([220, 110], 60)
    assert len(set(chosen)) == 60
    assert sum(folder for folder, _ in chosen) == 20
    assert chosen[:15] == plan([220, 110], 15)
    assert max(i for f, i in chosen if f == 0) > 200 and max(i for f, i in chosen if f) > 100


def test_absent_clicks_and_samples_that_one_model_lacks_do_not_count() -> None:
    rows = [
        *(row(FLOAT, n, [0.6, 0.1]) for n in range(4)),
        *(row(INT8, n, [0.3, 0.1], v=0.7) for n in range(4)),
        *(row(TUNED_INT8, n, [0.6, 0.4]) for n in range(3)),
    ]
    found = summary(rows)
    assert (found["samples"], found["clicks"]) == (3, 6)
    assert found["models"][FLOAT]["acc@0.25"] == found["models"][INT8]["acc@0.25"] == 0.5
    assert found["models"][INT8]["acc@0.5"] == 0.0
    assert found["models"][TUNED_INT8]["acc@0.25"] == 1.0
    assert found["models"][INT8]["v_cosine"] == pytest.approx(0.7)
    assert found["models"][INT8]["query_cosine"] == pytest.approx(0.8)
    assert found["models"][INT8]["median_iou_to_float"] == 0.8
    change = found["change_of_acc@0.25_points"]
    assert change[f"{INT8} - {FLOAT}"] == {"mean": 0.0, "interval_95": [0.0, 0.0]}
    assert change[f"{TUNED_INT8} - {INT8}"] == {"mean": 50.0, "interval_95": [50.0, 50.0]}


def test_a_change_counts_every_sample_by_itself() -> None:
    """Two clicks lost in one sample, one won in another, nothing in the last."""
    before, after = ([0.6, 0.6], [0.6, 0.1], [0.1, 0.1]), ([0.1, 0.1], [0.6, 0.3], [0.1, 0.1])
    rows = [row(FLOAT, n, iou) for n, iou in enumerate(before)]
    rows += [row(INT8, n, iou) for n, iou in enumerate(after)]
    change = summary(rows)["change_of_acc@0.25_points"][f"{INT8} - {FLOAT}"]
    assert change["mean"] == pytest.approx(-100 / 6, abs=0.01)
    low, high = change["interval_95"]
    assert low == -100.0 and high == 50.0
