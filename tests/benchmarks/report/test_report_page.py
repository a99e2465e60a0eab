"""The page says what the record says, marks what is doubtful and predicted, and loads nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
from made_bench_record import device_run, flown, processor_run, written
from made_record import accuracy_line, measurement_line, run_line

from benchmarks.record.lines import CrossCheckLine, Punctuality, Scenario, Unknown
from benchmarks.record.runs import Run
from benchmarks.record.series import pack
from benchmarks.report.doubts import doubts_of
from benchmarks.report.fact_tables import bundle_table
from benchmarks.report.page import page
from benchmarks.report.roofline_tables import WARNING, prediction_table, roofline_table
from benchmarks.report.shown import read_shown, shown_runs
from benchmarks.report.unknowns import unknowns_of
from benchmarks.roofline.boards import BOARDS
from edge.errors import BenchmarkError


class Tags(HTMLParser):
    """Which tags a page has, whether they are closed, and with which attributes."""

    VOID = ("meta", "br", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "bench.jsonl"
    return read_shown([written(path, processor_run(), device_run())])


@pytest.fixture(scope="module")
def one(runs):
    return page(runs[:1])


def cells_of(text: str, *starts: str) -> list[str]:
    """The cells of the first row that begins with these, without tags."""
    for row in re.findall(r"<tr>(.*?)</tr>", text):
        cells = [re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
        if tuple(cells[: len(starts)]) == starts:
            return cells
    raise AssertionError(f"no row {starts}")


def test_numbers_of_the_record_stand_on_the_page(runs, one):
    best = runs[0].headline
    cells = cells_of(one, "periodic", "warm")
    assert cells[3:6] == ["8", "1,800", f"{best.summary.median_ms:.1f}"]
    assert f"{best.summary.p99_ms:.1f}" in cells and f"{best.summary.max_ms:.1f}" in cells
    assert "n &lt; 10,000" in cells, "1,800 queries support no p99.9"
    assert cells[-3:] == ["81.0 / 59.0%", "62.0%", "4.0%"]
    assert cells_of(one, "multi-stream", "warm")[-3:] == ["41.0 / 31.0%", "8.0%", "not known"]
    assert cells_of(one, "offline", "cold")[-3:] == ["41.0 / 31.0%", "8.0%", "not known"]


@pytest.mark.parametrize(
    ("graphs", "words"), [(True, "CUDA graphs"), (False, "every run enqueued anew")]
)
def test_how_a_gpu_was_used_stands_with_what_ran(graphs, words):
    line = run_line(executor="tensorrt", device_backend="pycuda", cuda_graphs=graphs)
    assert cells_of(bundle_table(line), "device") == ["device", f"pycuda, {words}"]
    with pytest.raises(AssertionError, match="no row"):
        cells_of(bundle_table(run_line()), "device")


def test_what_is_doubtful_is_loud(one):
    assert 'class="doubts grave"' in one and "Do not rely on these numbers as they are" in one
    assert cells_of(one, "soak", "warm")[2] == "UNSTABLE, THROTTLED"
    assert cells_of(one, "periodic", "cold")[2] == "INTERRUPTED, stability unknown"
    assert "soak, warm, 8 clicks: UNSTABLE" in one, "and on its figure"


def test_a_clean_run_has_no_doubts(runs):
    text = page(runs[1:])
    assert 'class="doubts grave"' not in text and '<b class="good">30 Hz held' in text
    assert 'class="doubts"' in text, "a window that is new takes longer than a period"
    assert cells_of(text, "periodic", "warm")[2] == "8", "no column of marks"
    run = Run((run_line(),), (accuracy_line(),), (measurement_line(),), (), ())
    assert '<div class="doubts' not in page(shown_runs([run]))


def test_latency_never_stands_without_accuracy():
    run = Run((run_line(),), (), (measurement_line(),), (), ())
    text = page(shown_runs([run]))
    assert "not scored" in cells_of(text, "multi-stream", "warm")
    assert "no accuracy of this bundle" in text


def test_what_was_never_answered_is_in_the_percentiles():
    """Six of ten frames were answered: the median is of all ten, and the rest does not exist."""
    age = pack(np.full(600, 5_000_000))
    late = Punctuality(30.0, 1000, 500, age, age, (), aligned=300)
    line = measurement_line(
        (5_000_000,) * 600, scenario=Scenario.PERIODIC, punctuality=late, accuracy=flown(1000)
    )
    text = page(shown_runs([Run((run_line(),), (accuracy_line(),), (line,), (), ())]))
    assert {"5.00", "never answered", "50 %"} <= set(cells_of(text, "periodic", "warm"))
    row = cells_of(text, "warm", "8", "30 Hz")
    assert row[3:10] == [
        "1,000",
        "50 %",
        "400",
        "50.0%",
        "5.00",
        *["never answered"] * 1,
        "n &lt; 10,000",
    ]
    assert "never answered ms" not in text


def test_a_cross_check_stands_on_the_page_and_one_that_failed_above_it(runs):
    text = page(runs[1:])
    assert cells_of(text, "localizer", "8", "trtexec")[3:] == ["2.40", "2.35", "2.1%", "5%"]
    assert cells_of(text, "reference_encoder", "-", "trtexec")[5] == "1.1%"
    checks = (
        CrossCheckLine("0" * 16, "localizer", 1, "trtexec", 3.2, 2.9, 0.05, False),
        CrossCheckLine("0" * 16, "localizer", 8, "trtexec", 3.2, Unknown("no end"), 0.05, False),
    )
    run = Run((run_line(),), (accuracy_line(),), (measurement_line(),), (), (), checks)
    (shown,) = shown_runs([run])
    words = [doubt.words for doubt in doubts_of(shown) if doubt.grave]
    assert words == [
        "localizer, 1 click: 3.200 ms here, 2.900 ms by trtexec, 10.3% apart",
        "localizer, 8 clicks: not checked by trtexec: no end",
    ]
    assert ("time there of the localizer, 8 clicks (trtexec)", "no end") in unknowns_of(shown)


def test_predictions_are_marked_as_such(runs, one):
    text = prediction_table(runs[0].run.rooflines)
    assert text.startswith(f'<p class="guess-mark">{WARNING}</p>')
    for board in BOARDS:
        assert board.name in text and board.mode in text
    assert "43% of the FP16 peak" in text
    assert len(re.findall(r"≈ [\d.]+ ms \(≥ [\d.]+\)", text)) == 3 * len(BOARDS)
    assert "prediction; limited by the memory bandwidth" in text
    assert text in one and one.count("≈") == text.count("≈"), "and nowhere else"


def test_float32_alone_predicts_nothing(runs):
    only = [line for line in runs[0].run.rooflines if line.precision == "fp32"]
    assert prediction_table(only) == ""


def test_a_known_board_is_compared_with_its_published_peaks(runs):
    (line,) = [x for x in runs[0].run.rooflines if x.precision == "fp16" and x.clicks]
    none = Unknown("a GPU's limits are not measured")
    ran = msgspec.structs.replace(line, measured_ms=2.0, fraction=none)
    text = roofline_table([ran], "NVIDIA Jetson Orin Nano Developer Kit")
    assert "13% of published peaks" in text and "MAXN SUPER" in text
    assert "published" not in roofline_table([ran], "a board of another make")


def test_what_did_not_run_is_told_from_what_could_not_be_had(runs, one):
    assert cells_of(one, "localizer, 8 clicks", "fp16")[-3:] == ["not run"] * 3
    why = Unknown("no onnx")
    (line, *_) = runs[0].run.rooflines
    uncounted = msgspec.structs.replace(line, macs=why, bound_ms=why, fraction=why)
    assert cells_of(roofline_table([uncounted], ""), "encoder")[-3:] == [
        "not known",
        "190",
        "not known",
    ]


def test_several_runs_are_beside_each_other_and_the_first_is_open(runs):
    text = page(runs)
    assert text.count('<details class="run"') == 2
    assert text.count('<details class="run" open>') == 1
    assert cells_of(text, "lite · fp16", "periodic, warm, 8 clicks")
    assert "1 more run on this page" in text
    assert text.count("<h1>") == 1


def test_nothing_on_the_page_is_loaded_from_anywhere(runs):
    text = page(runs)
    tags = Tags(text)
    assert tags.open == [], "all is closed"
    names = {name for _, name, _ in tags.attributes}
    assert not names & {"src", "href", "srcset", "action", "data", "style", "xlink:href"}
    assert not [name for name in names if name.startswith("on")], "no scripts in attributes"
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<iframe|<object", text)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert ("meta", "content", policy) in tags.attributes


def test_what_a_record_says_is_shown_as_text():
    line = run_line(board="<script>alert(1)</script>", name="lite & <b>co</b>", pairs='"><img>')
    run = Run((line,), (accuracy_line(),), (measurement_line(ended="<i>lost</i>"),), (), ())
    text = page(shown_runs([run]))
    assert not re.search(r"<script>|<b>co|<img|<i>lost", text)
    assert "lite &amp; &lt;b&gt;co" in text and Tags(text).open == []


def test_reasons_of_what_is_not_known_are_on_the_page(one):
    assert "Not known, and why" in one
    assert cells_of(one, "GPU, driver")[1] == "no NVIDIA driver: /proc/driver/nvidia is not there"
    assert 'title="no power rail: there is no INA3221' in one
    assert "no C++ compiler: g++ not found" in one


@pytest.mark.parametrize(
    "measurements",
    [(), (measurement_line(()),), (measurement_line((5_000_000,)),)],
    ids=["nothing measured", "ended before its first query", "one query"],
)
def test_short_records_have_a_page(measurements):
    run = Run((run_line(),), (accuracy_line(),), measurements, (), ())
    text = page(shown_runs([run]))
    assert Tags(text).open == [] and "Machine, bundle, settings" in text


def test_without_a_run_there_is_no_page():
    with pytest.raises(BenchmarkError, match="nothing to report"):
        page(())
