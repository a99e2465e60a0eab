"""What a bundle carries tells of no folder of the machine that made it."""

import pytest

from calibration.judging.path_words import last_parts, without_folders


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("tilefix calibrate --frames /data/flights/0412", "tilefix calibrate --frames 0412"),
        ("t --frames=site=/data/f/0412/ --out out/int8", "t --frames=site=0412 --out out/int8"),
        ("t '/a b/my map.mbtiles'", "t 'my map.mbtiles'"),
        ("t --tiles=~/maps/m.mbtiles ~me/b", "t --tiles=m.mbtiles b"),
        ("t 'C:\\flights\\0412' D:/maps/m", "t 0412 m"),
        ("t / --budget=1.0 'scenes <3>'", "t / --budget=1.0 'scenes <3>'"),
    ],
)
def test_a_command_keeps_the_last_part_of_absolute_paths(given, told) -> None:
    assert without_folders(given) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("no engine in /home/me/0412/engines, none", "no engine in engines, none"),
        ("[Errno 28] full: '/srv/graphs'", "[Errno 28] full: 'graphs'"),
        ("(/a/b/c.so) of ~/x/y: 1/2, int8/fp16, and/or", "(c.so) of y: 1/2, int8/fp16, and/or"),
        ("http://a.b/c stays, a / b too", "http://a.b/c stays, a / b too"),
    ],
)
def test_a_sentence_does_too(given, told) -> None:
    assert last_parts(given) == told
