"""Times of the graphs by themselves, for the roofline."""

from __future__ import annotations

from made_record import measurement_line

from benchmarks.record.lines import CacheState, Scenario, Stage, Unknown
from benchmarks.record.series import pack
from benchmarks.roofline.lines import MeasuredGraph
from benchmarks.scenarios.graph_times import measured_graphs

MS = 1_000_000
ENGINE = pack([5 * MS] * 5 + [6 * MS] * 2 + [90 * MS] * 4)  # eleven: the sixth is the median
STAGES = (Stage("encode", pack([400 * MS] * 10)), Stage("engine", ENGINE))


def test_the_localizer_at_every_number_of_clicks_and_the_encoder():
    lines = [
        measurement_line(clicks=1, scenario=Scenario.SINGLE_STREAM, stages=STAGES),
        measurement_line(clicks=8, stages=STAGES, gpu=pack([2 * MS, 3 * MS, 4 * MS] * 4)),
        measurement_line(clicks=0, scenario=Scenario.OFFLINE, state=CacheState.COLD, stages=STAGES),
    ]
    assert measured_graphs(lines) == [
        MeasuredGraph("localizer", 1, 6.0),
        MeasuredGraph("localizer", 8, 3.0),  # by events, where there are any
        MeasuredGraph("reference_encoder", 0, 400.0),
    ]


def test_what_is_cold_or_has_no_times_says_nothing():
    lines = [
        measurement_line(state=CacheState.COLD, stages=STAGES),
        measurement_line(scenario=Scenario.PERIODIC, stages=STAGES),
        measurement_line(scenario=Scenario.SOAK, stages=STAGES),
        measurement_line((), stages=(Stage("engine", pack([])),)),
        measurement_line(stages=(Stage("engine", Unknown("none")),)),
        measurement_line(stages=()),
    ]
    assert measured_graphs(lines) == []


def test_few_runs_have_no_median():
    (found,) = measured_graphs([measurement_line(stages=(Stage("engine", pack([5 * MS] * 9)),))])
    assert found == MeasuredGraph("localizer", 8, Unknown("9 runs: n < 10"))
