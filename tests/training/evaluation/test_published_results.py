import io

import numpy as np
from rich.console import Console

from training.evaluation.metrics import Answers, score_published
from training.evaluation.published_results import published_rows, rows_of, table_beside
from training.recipes.reading import read_recipe, recipe_names


def test_known_rows_of_the_papers() -> None:
    drone = {row.model: row for row in rows_of("cvogl_drone")}
    assert (drone["detgeo"].acc_25, drone["detgeo"].acc_50) == (61.97, 57.66)
    assert (drone["attengeo"].acc_25, drone["attengeo"].acc_50) == (70.71, 62.08)
    assert drone["ocgnet"].acc_50 is None, "the figure at hand contradicts its acc@0.25"
    assert rows_of("cmlocation_v2")[0].acc_i_25 == 30.23
    assert rows_of("cvogl_drone", "val")[0].acc_50 == 55.15


def test_rows_are_plausible_and_say_where_they_are_from() -> None:
    known_sets = {read_recipe(name).data.set for name in recipe_names()}
    for row in published_rows():
        assert row.source
        assert row.set in known_sets
        cells = (row.acc_25, row.acc_50, row.acc_i_25, row.acc_i_50)
        assert all(c is None or 0 < c < 100 for c in cells)
        if row.acc_25 and row.acc_50:
            assert row.acc_25 > row.acc_50
        if row.acc_25 and row.acc_i_25:
            assert row.acc_25 > row.acc_i_25


def test_ablations_are_left_out_unless_asked_for() -> None:
    assert not any(row.variant for row in rows_of("cvogl_drone"))
    variants = {row.variant for row in rows_of("cvogl_drone", ablations=True)}
    assert "without MOPE" in variants


def test_the_table_tells_papers_from_measurements() -> None:
    truth = np.tile([0.0, 0, 10, 10], (4, 1))
    said = truth.copy()
    said[0] += 100
    scores = score_published(Answers(np.arange(4), truth, said), 16, resamples=50)
    out = io.StringIO()
    table = table_beside("drone", rows_of("cvogl_drone"), [("detgeo, ours", scores)])
    Console(file=out, width=160).print(table)
    lines = out.getvalue().splitlines()
    paper = next(x for x in lines if "61.97" in x)
    ours = next(x for x in lines if "detgeo, ours" in x)
    assert "paper" in paper
    assert "TGRS" in paper
    assert "measured here" in ours
    assert "75.00 (" in ours
    assert next(x for x in lines if "68.35" in x).count(" - ") >= 1
