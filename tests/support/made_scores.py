"""Made-up scores of a candidate for tests of the judge."""

from __future__ import annotations

from calibration.judging.record import BlockSensitivity, CandidateScore, Change, RegimeScore


def regime(
    name: str = "no prior",
    clicks: int = 2061,
    change: tuple[float, float, float] = (0.0, 0.0, 0.0),
    **other: float,
) -> RegimeScore:
    mean, low, high = change
    values: dict[str, float] = {
        "accuracy_25": 0.8,
        "accuracy_50": 0.6,
        "box_iou_median": 0.95,
        "box_iou_90": 0.8,
        "wrong_rate": 0.02,
        "coverage": 0.5,
        "calibration_error": 0.05,
    }
    return RegimeScore(
        regime=name,
        clicks=clicks,
        clicks_on_map=clicks,
        samples=clicks // 6,
        change_25=Change(mean=mean, low=low, high=high),
        change_50=Change(mean=mean, low=low, high=high),
        **(values | other),
    )


def score(*regimes: RegimeScore, left_float: tuple[str, ...] = ()) -> CandidateScore:
    return CandidateScore(
        name="made",
        precision="int8+fp16",
        method="minmax",
        left_float=left_float,
        regimes=regimes,
        file_bytes=1000,
    )


def block(
    name: str, error: float, macs: int = 100, latency_ms: float | None = None
) -> BlockSensitivity:
    return BlockSensitivity(
        block=name,
        graph=name.split("/")[0],
        macs=macs,
        convolutions=1,
        relative_error=error,
        latency_ms=latency_ms,
    )
