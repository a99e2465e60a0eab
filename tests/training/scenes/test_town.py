"""Towns: reproducible, varied, standing apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.errors import UsageError
from training.scenes.town import Town

STYLES = ("suburb", "grid", "village", "centre", "works", "rural")


@pytest.mark.parametrize("style", STYLES)
def test_every_style_makes_a_sound_town(style: str) -> None:
    town = Town.generate(11, 300.0, style)
    again = Town.generate(11, 300.0, style)
    assert town.objects == again.objects
    assert np.array_equal(town.solids.vertex_m, again.solids.vertex_m)
    assert np.isfinite(town.solids.plane).all()
    assert np.isfinite(town.solids.texture).all()
    assert len({thing.id for thing in town.objects}) == len(town.objects)
    buildings = [thing for thing in town.objects if thing.kind == "building"]
    assert len(buildings) >= 4
    assert all(2.0 < thing.height_m < 45.0 for thing in buildings)


def test_buildings_do_not_stand_in_each_other() -> None:
    town = Town.generate(5, 400.0, "suburb")
    hulls = [
        cv2.convexHull(np.array(t.footprint_m, np.float32))
        for t in town.objects
        if t.kind == "building"
    ]
    share = []
    for i, hull in enumerate(hulls):
        for other in hulls[i + 1 :]:
            if np.abs(hull.mean(axis=0) - other.mean(axis=0)).max() < 60:
                area, _ = cv2.intersectConvexConvex(hull, other)
                share.append(area / min(cv2.contourArea(hull), cv2.contourArea(other)))
    # hulls of L-shaped houses may touch a neighbour's; none may stand in another
    assert max(share) < 0.4
    assert np.mean(np.array(share) > 0.1) < 0.01


def test_sizes_are_those_of_things_on_a_map() -> None:
    town = Town.generate(5, 500.0, "suburb")
    sizes = [t.size_m for t in town.objects if t.kind == "building"]
    assert np.percentile(sizes, 5) > 8 and np.percentile(sizes, 95) < 70
    cars = [t.size_m for t in town.objects if t.kind == "car"]
    assert min(cars) > 3 and max(cars) < 6


def test_without_takes_away_only_what_it_names() -> None:
    town = Town.generate(2, 200.0, "grid")
    gone = [t.id for t in town.objects if t.kind == "building"][:3]
    later = town.without([*gone, "building-9999"])
    assert {t.id for t in town.objects} - {t.id for t in later.objects} == set(gone)
    owners = np.unique(later.solids.face_object)
    assert owners.max() < len(later.objects)
    for index in owners[owners >= 0][:40].tolist():
        thing = later.objects[index]
        solids = later.solids
        face = int(np.flatnonzero(solids.face_object == index)[0])
        corner = solids.vertex_m[solids.face_start[face]][:2]
        assert np.abs(corner - thing.centre_m).max() < thing.size_m + 1
    standing = later.solids.parent >= 0
    assert (later.solids.part[standing] == later.solids.part[later.solids.parent[standing]]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": 1, "style": "moon"}, ("style", "suburb", "'moon'")),
        ({"seed": 1, "extent_m": 10.0}, ("extent", "150 to 3000 m", "10.0 m")),
    ],
)
def test_bad_arguments_say_what_is_right(arguments: dict, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        Town.generate(**arguments)
    assert all(word in str(caught.value) for word in words)


def test_unknown_object_is_an_error() -> None:
    town = Town.generate(2, 200.0, "grid")
    assert town.find("building-0001").kind == "building"
    with pytest.raises(UsageError, match="unknown object"):
        town.find("castle-0001")
