"""Accuracy against size and time: what was measured has its place, what was not says so."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec
import pytest

from calibration.judging.record import GraphLatency, Judgement, RankedBy, Ranking
from calibration.report.accuracy import UNTIMED, cpu_points, device_points, size_points
from calibration.report.charts import Point, scatter
from calibration.report.page import Evidence, page
from tests.support.made_judgement import made_judgement, made_score

SIZES = ["fp32, 16.7 MB", "fp16, 8.3 MB", "int8+fp16, 4.6 MB", "int8+fp32, 4.5 MB"]


def judged() -> Judgement:
    """With a store in INT8 and ONNX Runtime's form of the kept mix."""
    judgement = made_judgement()
    more = {"method": "entropy", "left_float": judgement.left_float}
    name = "entropy, 1 block float16"
    store = made_score(f"{name}, features in int8", "int8+fp16", 0.9, 4_600_000, **more)
    cpu = made_score(name, "int8+fp32", 0.7, 4_500_000, **more)
    return msgspec.structs.replace(judgement, candidates=(*judgement.candidates, store, cpu))


def timed(judgement: Judgement) -> Judgement:
    graphs = tuple(
        GraphLatency(
            graph=graph, fp16_ms=ms, int8_ms=ms / 2, fp16_elsewhere_ms=0, int8_elsewhere_ms=0
        )
        for graph, ms in (("reference_encoder", 9.0), ("localizer", 4.0))
    )
    ranking = Ranking(by=RankedBy.LATENCY, device="Orin <16 SM>", graphs=graphs)
    return msgspec.structs.replace(judgement, ranking=ranking)


def test_each_precision_stands_beside_its_time_on_the_cpu_or_beside_the_axis() -> None:
    points = cpu_points(judged(), "no prior")
    assert [point.label for point in points] == SIZES
    assert [point.x for point in points] == [1.0, None, None, pytest.approx(1 / 1.31)]
    assert [point.y for point in points] == pytest.approx([30.4, 30.3, 29.8, 29.7])
    untimed = msgspec.structs.replace(judged(), latency_ratio={})
    assert [point.x for point in cpu_points(untimed, "no prior")] == [None] * 4
    assert cpu_points(judged(), "no such regime") == []


def test_a_device_times_float16_and_all_blocks_in_int8_and_no_mix() -> None:
    assert device_points(judged(), "no prior") == []
    by_macs = Ranking(by=RankedBy.MACS, reason="no GPU")
    assert device_points(msgspec.structs.replace(judged(), ranking=by_macs), "no prior") == []
    mixed = device_points(timed(judged()), "alignment")
    assert {p.label: p.x for p in mixed} == dict(zip(SIZES, [None, 4.0, None, None], strict=True))
    whole = msgspec.structs.replace(timed(judged()), left_float=())
    points = {p.label: p.x for p in device_points(whole, "alignment")}
    assert points["int8+fp16, 4.4 MB"] == 2.0


def test_all_candidates_have_a_size() -> None:
    judgement = judged()
    assert judgement.base is not None
    points = size_points((judgement.base, *judgement.candidates), "alignment")
    assert len(points) == 1 + len(judgement.candidates)
    assert points[0] == Point("fp32", 16.7, 88.5, pytest.approx(88.1), pytest.approx(88.9))
    assert "entropy, 1 block float16, features in int8 (int8+fp16)" in [p.label for p in points]


def test_a_point_without_a_time_is_hollow_and_outside_the_axis() -> None:
    points = [Point("a", 1.0, 5.0, 4.0, 6.0), Point("b", None, 5.0, 4.0, 6.0)]
    tree = ElementTree.fromstring(scatter(points, "time", "acc", UNTIMED))
    known, unknown = tree.iter("circle")
    box = next(tree.iter("rect"))
    edge = next(x for x in tree.iter("line") if x.get("stroke-dasharray"))
    assert float(known.get("cx")) < float(edge.get("x1")) < float(unknown.get("cx"))
    assert float(unknown.get("cx")) < float(box.get("x")) + float(box.get("width"))
    assert known.get("fill") != "none" and unknown.get("fill") == "none"
    assert UNTIMED in [x.text for x in tree.iter("text")]
    long = Point("a label that would run into the strip", 1.0, 5.0, 4.0, 6.0)
    tree = ElementTree.fromstring(scatter([long, points[1]], "time", "acc"))
    label = next(x for x in tree.iter("text") if x.text == long.label)
    assert label.get("text-anchor") == "end" and float(label.get("x")) < float(known.get("cx"))
    plain = scatter(points[:1], "time", "acc", UNTIMED)
    assert UNTIMED not in plain and "dasharray" not in plain, "nothing is missing"


def test_labels_of_like_points_do_not_cover_each_other() -> None:
    points = [Point(f"precision {n}", None, 88.5, 88.0, 89.0) for n in range(4)]
    tree = ElementTree.fromstring(scatter(points, "time", "acc"))
    lines = [float(x.get("y")) for x in tree.iter("text") if (x.text or "").startswith("precision")]
    assert len(lines) == 4
    assert min(abs(a - b) for n, a in enumerate(lines) for b in lines[:n]) >= 12


def test_the_page_has_the_charts_of_each_regime() -> None:
    text = page(Evidence("lite 3", timed(judged()), {}, ()))
    assert text.count("localizer&#x27;s time on this CPU, float32 = 1") == 2
    assert text.count("localizer&#x27;s layers on Orin &lt;16 SM&gt;, ms") == 2
    assert text.count(UNTIMED) == 4 and text.count(">fp16, 8.3 MB<") == 4
    assert ">-0.60<" in text and ">-0.70<" not in text, "the tiles tell of the form that decides"
    assert "layers on Orin" not in page(Evidence("lite 3", judged(), {}, ()))
