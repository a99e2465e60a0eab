"""The page in a real browser: nothing on the console, nothing asked for, nothing cut off."""

from __future__ import annotations

import numpy as np
import pytest
from browser import WIDER, browser, measured, visit, widths
from made_bench_record import device_run, flown, processor_run, written
from made_record import accuracy_line, measurement_line, run_line

from benchmarks.record.lines import Punctuality, Scenario
from benchmarks.record.series import pack
from benchmarks.report.page import page
from benchmarks.report.shown import read_shown

pytestmark = pytest.mark.skipif(browser() is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    runs = read_shown([written(folder / "bench.jsonl", processor_run(), device_run())])
    path = folder / "report.html"
    path.write_text(page(runs), encoding="utf-8")
    return path


def test_the_page_says_nothing_and_asks_for_nothing(shown, tmp_path):
    seen = visit(shown, tmp_path / "browser")
    assert seen.console == ()
    assert seen.requests == ()
    assert seen.title.startswith("lite · fp32")


@pytest.mark.parametrize("width_px", [1400, 480])
def test_the_page_is_no_wider_than_its_window(shown, tmp_path, width_px):
    content, window = widths(visit(measured(shown), tmp_path / "browser", width_px))
    assert abs(window - width_px) <= 20, "the browser took the width that was asked for"
    assert content <= window


@pytest.fixture(scope="module")
def never(tmp_path_factory):
    """A page whose numbers on top are words: hardly any frame was answered."""
    age = pack(np.full(30, 5_000_000))
    late = Punctuality(30.0, 1000, 980, age, age, (), aligned=3)
    line = measurement_line(
        (5_000_000,) * 30, scenario=Scenario.PERIODIC, punctuality=late, accuracy=flown(1000)
    )
    folder = tmp_path_factory.mktemp("never")
    path = folder / "report.html"
    record = written(folder / "bench.jsonl", [run_line(), accuracy_line(), line])
    path.write_text(page(read_shown([record])), encoding="utf-8")
    assert path.read_text().count(">never answered</b>") == 3
    return path


@pytest.mark.parametrize("width_px", [1200, 800])
def test_words_in_place_of_a_number_stay_in_their_tile(never, tmp_path, width_px):
    wider, tiles = widths(visit(measured(never, WIDER), tmp_path / "browser", width_px))
    assert tiles == 8 and wider == 0


def test_this_test_would_see_words_beyond_their_tile(never, tmp_path):
    path = tmp_path / "cut.html"
    style = "<style>.tile b{white-space:nowrap}</style></head>"
    path.write_text(never.read_text(encoding="utf-8").replace("</head>", style))
    wider, _ = widths(visit(measured(path, WIDER), tmp_path / "browser", 800))
    assert wider == 3


def test_this_test_would_see_a_request_a_message_and_a_wide_page(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        '<!doctype html><title>bad</title><body><img src="http://127.0.0.1:9/picture.png">'
        '<script>console.error("a message")</script><div style="width:3000px">x</div></body>'
    )
    seen = visit(measured(path), tmp_path / "browser", 480)
    assert "a message" in " ".join(seen.console)
    assert any("127.0.0.1:9/picture.png" in url for url in seen.requests)
    content, window = widths(seen)
    assert content >= 3000 > window


def test_the_page_lets_no_script_run(shown, tmp_path):
    """Its policy holds even if something got through the escaping."""
    path = tmp_path / "injected.html"
    text = shown.read_text(encoding="utf-8")
    path.write_text(text.replace("</body>", "<script>document.title='taken over'</script></body>"))
    seen = visit(path, tmp_path / "browser")
    assert seen.title != "taken over" and "Content Security Policy" in " ".join(seen.console)
