"""Options with which no model would work are refused in words, before anything is built."""

import math

import pytest
import torch

from training.models import NAMES, build, options_class

NAN, INF = math.nan, math.inf
PUBLISHED = tuple(name for name in NAMES if name != "lite")
DRAWN = tuple(name for name in PUBLISHED if name != "mogeo")
EVERY = {
    "window": ({"window_px": 1000}, r"window_px is a positive multiple of 32, got 1000"),
    "no window": ({"window_px": 0}, r"window_px is a positive multiple of 32, got 0"),
    "window below": ({"window_px": -1024}, r"window_px is a positive multiple of 32, got -1024"),
    "no anchors": ({"anchors_wh_px": ()}, r"one or more pairs of positive sizes, got \(\)"),
    "flat anchor": ({"anchors_wh_px": ((5.0, 0.0),)}, r"got \(\(5.0, 0.0\),\)"),
    "anchor no number": ({"anchors_wh_px": ((5.0, NAN),)}, "anchors_wh_px are one or more pairs"),
    "endless anchor": ({"anchors_wh_px": ((INF, 5.0),)}, "anchors_wh_px are one or more pairs"),
}
FRAMES = [(0, -3), (256, 0), (-256, 256), (100, 100), (256, 500)]
CLICK_MAP = [
    ({"sigma": NAN}, "sigma is a positive fraction of the diagonal, got nan"),
    ({"sigma": INF}, "sigma is a positive fraction of the diagonal, got inf"),
    ({"sigma": -0.1}, "sigma is a positive fraction of the diagonal, got -0.1"),
    ({"hybrid_sigma": NAN}, "hybrid_sigma nan"),
    ({"hybrid_hardness": 5.0}, "hybrid_hardness is a share, 0 to 1, got 5.0"),
    ({"hybrid_hardness": -0.1}, "hybrid_hardness is a share"),
    ({"hybrid_hardness": NAN}, "hybrid_hardness is a share"),
    ({"ring_half_sides_px": (), "ring_weights": ()}, "ring_half_sides_px grow"),
    ({"ring_half_sides_px": (0.0, 1.0), "ring_weights": (1.0, 1.0)}, "are positive, and"),
    ({"ring_half_sides_px": (1.0, INF), "ring_weights": (1.0, 1.0)}, "are positive, and"),
    ({"ring_half_sides_px": (1.0,), "ring_weights": (NAN,)}, "ring_weights finite"),
    ({"click_encoding": "gausian"}, "unknown click_encoding 'gausian'; nearest: 'gaussian'"),
]
OWN = [
    ("detgeo", {"bn_momentum": 0.0}, "bn_momentum is above 0 and at most 1, got 0.0"),
    ("ocgnet", {"bn_momentum": NAN}, "bn_momentum is above 0"),
    ("mogeo", {"bn_momentum": 1.5}, "bn_momentum is above 0"),
    ("ocgnet", {"window_px": 96}, "window_px is at least 128 where cross_attention pools"),
    ("mogeo", {"frame_hw_px": (256, 250)}, r"positive multiples of 16, got \(256, 250\)"),
    ("mogeo", {"neighbourhood": "fixed", "neighbourhood_sigma_px": NAN}, "sigma_px and reach"),
    ("mogeo", {"neighbourhood": "fixed", "neighbourhood_sigma_px": INF}, "sigma_px and reach"),
    *(
        (name, options, text)
        for name in ("attengeo", "detgeo_ported")
        for options, text in (
            ({"heads": 7}, "multiple of 4, .* and of heads, got width 256 and heads 7"),
            ({"heads": 7, "attention": "linear"}, "got width 256 and heads 7"),
            ({"width": 30}, "got width 30 and heads 8"),
            ({"width": 6, "heads": 2}, "got width 6 and heads 2"),
            ({"width": 0}, "width is positive, got 0"),
            ({"heads": 0}, "heads is positive, got 0"),
            ({"ffn": -1}, "ffn is positive, got -1"),
            ({"iterations": 0}, "iterations is positive, got 0"),
            ({"dropout": 1.0}, "dropout is 0 or more and below 1, got 1.0"),
            ({"dropout": NAN}, "dropout is 0 or more and below 1, got nan"),
            ({"first_index": -1}, "first_index is 0 or more, got -1"),
            ({"mhsam_hidden": 0}, "mhsam_hidden is positive, got 0"),
            ({"bn_momentum": -1.0}, "bn_momentum is above 0"),
        )
    ),
    ("attengeo", {"head_hidden": 0}, "head_hidden is positive, got 0"),
    ("attengeo", {"drop_path": 1.0}, "drop_path is 0 or more and below 1"),
    ("lite", {"frame_px": -3}, "frame_px is a positive multiple of 16, got -3"),
    ("lite", {"frame_px": 100}, "frame_px is a positive multiple of 16, got 100"),
    ("lite", {"frame_height_px": 0}, "frame_height_px is a positive multiple of 16, got 0"),
    ("lite", {"frame_height_px": 512}, "frame_height_px is another than frame_px, got 512"),
    ("lite", {"width": 0}, "width is positive, got 0"),
    ("lite", {"query_depth": -1}, "query_depth is 0 or more, got -1"),
    ("lite", {"centre_var": NAN}, "centre_var is 0 or more, got nan"),
    ("lite", {"floor_var_px2": INF}, "floor_var_px2 is 0 or more, got inf"),
]


def refused(name: str, options: dict[str, object], text: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=text) as caught:
        build(name, **options)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", EVERY)
def test_sides_and_anchors(name, case):
    refused(name, *EVERY[case])


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("frame_hw_px", FRAMES)
def test_frames(name, frame_hw_px):
    wanted = rf"positive multiples of 32, got \({frame_hw_px[0]}, {frame_hw_px[1]}\)"
    refused(name, {"frame_hw_px": frame_hw_px}, wanted)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("options", "text"), CLICK_MAP)
def test_click_maps(name, options, text):
    refused(name, options, text)


@pytest.mark.parametrize(("name", "options", "text"), OWN)
def test_a_models_own(name, options, text):
    refused(name, options, text)


def test_what_lies_just_inside_is_taken():
    """The refusals above are of what cannot work, and of nothing else."""
    edges = {
        "detgeo": {"frame_hw_px": (32, 64), "window_px": 32, "bn_momentum": 1.0},
        "ocgnet": {"window_px": 128, "hybrid_hardness": 0.0, "sigma": 5.0},
        "mogeo": {"frame_hw_px": (16, 48), "mope": False, "hybrid_hardness": 1.0},
        "attengeo": {"width": 12, "heads": 3, "dropout": 0.0, "iterations": 1},
        "lite": {"frame_px": 32, "click_reach_cells": 0, "query_depth": 0},
    }
    for name, options in edges.items():
        with torch.device("meta"):
            assert build(name, **options).options == options_class(name)(**options)


@pytest.mark.parametrize(
    "changed",
    [
        {"click_encoding": "gaussian"},
        {"truncate_clicks": False},
        {"sigma": 0.2},
        {"hybrid_sigma": 0.1},
        {"hybrid_hardness": 0.1},
        {"ring_weights": (1.0, 0.5, 0.25, 0.1)},
    ],
)
def test_mogeo_refuses_a_click_map_that_mope_does_not_draw(changed):
    (name,) = changed
    refused("mogeo", changed, rf"{name} = .* means nothing while mope is on: .* mope off")
    with torch.device("meta"):
        assert getattr(build("mogeo", mope=False, **changed).options, name) == changed[name]
