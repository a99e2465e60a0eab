import pytest
from made_scores import block

from calibration.judging.budget import Finding, Holding
from calibration.judging.record import RankedBy, Ranking
from calibration.judging.search import (
    FRAMES_PER_WINDOW,
    gains_per_frame,
    most_left,
    ranked,
    ranking_of,
    search,
)

EQUAL = [block(f"localizer/{n:02d}", error=1.0 - n / 100) for n in range(32)]


class LossTable:
    """A budget that holds exactly where all of some blocks are in float16."""

    def __init__(self, needed):
        self.needed, self.tried = set(needed), []

    def __call__(self, left_float):
        self.tried.append(left_float)
        good = self.needed <= set(left_float)
        return Finding(Holding.HELD if good else Holding.BROKEN, "no prior", 0.5, 1.5)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 11, 16, 23, 24])
def test_the_least_set_is_found_in_few_judgements(count):
    names = [each.block for each in EQUAL]
    table = LossTable(names[:count])
    found = search(EQUAL, table)
    assert found.left_float == tuple(names[:count])
    assert len(table.tried) == len(set(table.tried)) <= 10
    assert [trial.left_float for trial in found.trials] == table.tried
    assert table.tried[0] == ()  # all blocks in INT8 come first


def test_one_block_that_spoils_all_is_left_alone():
    blocks = [block("e/a", 0.01), block("e/b", 0.9), block("e/c", 0.02), block("l/d", 0.03)]
    assert search(blocks, LossTable({"e/b"})).left_float == ("e/b",)


def test_it_stops_where_the_gain_is_gone():
    table = LossTable({"no block has this name"})
    found = search(EQUAL, table)
    assert found.left_float is None
    # three quarters of 32 equal blocks; more would leave less than a quarter of the gain
    assert [len(left) for left in table.tried] == [0, 1, 2, 4, 8, 16, 24]


def test_blocks_are_ranked_by_what_they_spoil_per_multiplication():
    blocks = [block("e/large", 0.4, macs=1000), block("e/small", 0.1, macs=10)]
    assert [each.block for each in ranked(blocks)] == ["e/small", "e/large"]


def test_measured_latency_counts_where_every_block_has_it():
    """By multiplications the small one would come first; on the device it saves most."""
    blocks = [
        block("e/large", 0.4, macs=1000, latency_ms=0.1),
        block("e/small", 0.1, macs=10, latency_ms=2.0),
    ]
    assert [each.block for each in ranked(blocks)] == ["e/large", "e/small"]
    mixed = [blocks[0], block("e/small", 0.1, macs=10)]
    assert [each.block for each in ranked(mixed)] == ["e/small", "e/large"]


def test_a_block_that_int8_makes_slower_is_left_first():
    blocks = [block("e/a", 0.9, latency_ms=1.0), block("e/b", 0.001, latency_ms=-0.2)]
    assert [each.block for each in ranked(blocks)] == ["e/b", "e/a"]


def test_a_single_block_with_all_the_gain_is_never_left():
    blocks = [block("e/all", 0.9, macs=1000), block("e/rest", 0.5, macs=1)]
    assert most_left(ranked(blocks)) == 1
    assert search(blocks, LossTable({"e/all"})).left_float is None


def test_where_nothing_is_saved_no_block_may_be_left_and_int8_is_of_no_use() -> None:
    """Slower in all blocks, or no faster: the budget holds at once, and does not count."""
    for saved_ms in ((-0.25, -0.5, -0.125), (0.0, 0.0, 0.0)):
        blocks = [block(f"localizer/{n}", 0.1, latency_ms=ms) for n, ms in enumerate(saved_ms)]
        assert most_left(ranked(blocks)) == 0
        table = LossTable(())
        found = search(blocks, table)
        assert found.left_float is None and table.tried == [()]
        assert found.trials[0].saved_ms == sum(saved_ms) and not found.trials[0].useful
    assert most_left([]) == 0 and search([], LossTable(())).left_float == ()  # nobody measured


def test_blocks_that_cost_more_than_the_others_save_are_left() -> None:
    """All in INT8 would be slower by 1 ms; without the two slow ones a frame takes 0.5 ms less."""
    saved_ms = {"a": 0.25, "b": 0.25, "slow": -1.0, "slower": -0.5}
    blocks = [block(f"localizer/{n}", 0.1, latency_ms=ms) for n, ms in saved_ms.items()]
    found = search(blocks, LossTable(()))
    assert found.left_float == ("localizer/slow", "localizer/slower")
    assert [(len(each.left_float), each.saved_ms) for each in found.trials] == [
        (0, -1.0),
        (1, 0.0),
        (2, 0.5),
    ]
    # of the encoder they would cost their part of a window alone, and stay in INT8
    other = [each for each in blocks if "slow" not in each.block]
    other += [
        block(f"reference_encoder/{n}", 0.1, latency_ms=saved_ms[n]) for n in saved_ms if n > "s"
    ]
    assert search(other, LossTable(())).left_float == ()


def alike() -> list:
    """Blocks of both graphs that spoil alike and cost alike."""
    made = []
    for kind in ("localizer", "reference_encoder"):
        made += [block(f"{kind}/{n}", error=0.1 + n / 100) for n in range(4)]
    return made


def test_a_block_of_the_encoder_saves_its_part_of_a_window() -> None:
    """Alike in all else, the encoder's blocks are left first: they run once for many frames."""
    order = [each.graph for each in ranked(alike())]
    assert order == ["reference_encoder"] * 4 + ["localizer"] * 4
    # one frame in each window: the errors alone decide, and equal ones go by name
    alone = [each.block for each in ranked(alike(), frames_per_window=1)]
    assert alone[:2] == ["localizer/3", "reference_encoder/3"]
    # where the localizer's block spoils more than so many times as much, it is first all the same
    worse = [*alike(), block("localizer/bad", 0.2 * FRAMES_PER_WINDOW)]
    assert ranked(worse)[0].block == "localizer/bad"


def test_measured_latency_is_shared_among_the_frames_of_a_window_too() -> None:
    blocks = [
        block("localizer/a", 0.1, latency_ms=0.1),
        block("reference_encoder/b", 0.1, latency_ms=1.0),
    ]
    assert ranked(blocks, 2)[0].block == "localizer/a"
    assert ranked(blocks, 20)[0].block == "reference_encoder/b"


def test_all_of_the_encoder_may_be_left_where_it_is_little_of_a_frame() -> None:
    blocks = alike()
    # alike: six of eight equal blocks leave a quarter
    assert most_left(ranked(blocks, 1), 1) == 6
    # 4 of 4 and 3 of 4: a quarter of the localizer's, which is nearly all there is
    assert most_left(ranked(blocks), FRAMES_PER_WINDOW) == 6
    needed = {each.block for each in blocks if each.graph == "reference_encoder"}
    assert search(blocks, LossTable(needed)).left_float == tuple(
        f"reference_encoder/{n}" for n in (3, 2, 1, 0)
    )
    assert search(blocks, LossTable(needed), 1).left_float is None


def test_latencies_and_macs_are_weighed_alike_by_the_frames_of_a_window() -> None:
    """Numbers of one kind in the place of the other give the same gains."""
    kinds = ("localizer/a", "reference_encoder/b")
    by_macs = [block(name, 0.1, macs=60) for name in kinds]
    by_ms = [block(name, 0.1, macs=1, latency_ms=60.0) for name in kinds]
    for frames in (1, 30):
        assert gains_per_frame(by_macs, frames) == gains_per_frame(by_ms, frames)
    assert gains_per_frame(by_ms, 30) == [60.0, 2.0]


def test_the_search_leaves_others_where_a_device_says_otherwise_than_macs() -> None:
    """The block with most products saves least on the device: it is left first, not last."""
    macs, saved_ms = (900, 100, 90), (0.01, 0.5, 0.4)
    names = [f"localizer/{name}" for name in ("large", "b", "c")]
    without = [block(n, 0.3, macs=m) for n, m in zip(names, macs, strict=True)]
    with_them = [
        block(n, 0.3, macs=m, latency_ms=ms) for n, m, ms in zip(names, macs, saved_ms, strict=True)
    ]
    assert [each.block for each in ranked(without)] == [names[2], names[1], names[0]]
    assert [each.block for each in ranked(with_them)] == [names[0], names[2], names[1]]
    needed = {names[0]}
    assert search(without, LossTable(needed)).left_float is None  # all of the gain is in it
    assert search(with_them, LossTable(needed)).left_float == (names[0],)


def test_a_ranking_is_by_latency_only_where_every_block_has_one() -> None:
    asked = Ranking(by=RankedBy.LATENCY, device="Orin", saved_ms={"l/a": 1.0})
    whole = [block("l/a", 0.1, latency_ms=1.0)]
    assert ranking_of(asked, whole) is asked
    partly = ranking_of(asked, [*whole, block("l/b", 0.1)])
    assert partly == Ranking(by=RankedBy.MACS, reason="no latency is known of l/b")
    macs = Ranking(by=RankedBy.MACS, reason="no GPU")
    assert ranking_of(macs, [block("l/b", 0.1)]) is macs
