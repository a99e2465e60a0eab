"""A judgement with something in every part of it."""

from __future__ import annotations

from calibration.judging.record import (
    AgreementScore,
    BlockSensitivity,
    CandidateScore,
    Change,
    ChangedVerdict,
    Judgement,
    Outcome,
    RealScore,
    RegimeScore,
)


def made_score(name: str, precision: str, loss: float, file_bytes: int, **more) -> CandidateScore:
    """A candidate that loses so many points in both regimes."""
    return CandidateScore(
        name=name,
        precision=precision,
        method=more.get("method", ""),
        left_float=more.get("left_float", ()),
        regimes=tuple(
            RegimeScore(
                regime=regime,
                clicks=2942,
                clicks_on_map=2470,
                samples=330,
                accuracy_25=accuracy - loss / 100,
                accuracy_50=accuracy / 2 - loss / 100,
                change_25=Change(mean=-loss, low=-loss - 0.4, high=-loss + 0.4),
                change_50=Change(mean=-loss, low=-loss - 0.6, high=-loss + 0.6),
                box_iou_median=0.99 - loss / 50,
                box_iou_90=0.97 - loss / 20,
                wrong_rate=0.09,
                coverage=0.5,
                calibration_error=0.03,
            )
            for regime, accuracy in (("no prior", 0.304), ("alignment", 0.885))
        ),
        file_bytes=file_bytes,
    )


def made_judgement(outcome: Outcome = Outcome.MIXED) -> Judgement:
    """As a mixed search leaves it."""
    left = ("reference_encoder/backbone._blocks.0",)
    return Judgement(
        outcome=outcome,
        reasons=("the loss of acc@0.25 <1 point> with 1 block in float16", "fp16 loses 0.1"),
        budget_points=1.0,
        method="entropy",
        left_float=left,
        base=made_score("fp32", "fp32", 0.0, 16_700_000),
        candidates=(
            made_score("fp16", "fp16", 0.1, 8_300_000),
            made_score("entropy", "int8+fp16", 2.2, 4_400_000, method="entropy"),
            made_score(
                "entropy, 1 block float16",
                "int8+fp16",
                0.6,
                4_600_000,
                method="entropy",
                left_float=left,
            ),
        ),
        sensitivity=tuple(
            BlockSensitivity(
                block=block,
                graph=block.split("/")[0],
                macs=macs,
                convolutions=3,
                relative_error=error,
            )
            for block, macs, error in (
                (left[0], 210_000_000, 0.12),
                ("reference_encoder/reference_neck.blocks.1", 1_178_000_000, 0.03),
                ("localizer/query_embedding", 67_000_000, 0.004),
            )
        ),
        agreement=(
            AgreementScore(
                candidate="entropy",
                clicks=1024,
                box_iou_median=0.97,
                box_iou_90=0.93,
                same_verdict=0.99,
            ),
        ),
        real=RealScore(
            pairs=("brighton",),
            sightings=120,
            accuracy_25_before=0.86,
            accuracy_25_after=0.85,
            change_25=Change(mean=-0.8, low=-2.0, high=0.4),
            box_iou_median=0.96,
            changed=(
                ChangedVerdict(
                    frame="brighton/0007.jpg",
                    object_id="planter <3>",
                    before="accepted, right",
                    after="refused, right",
                    iou_before=0.71,
                    iou_after=0.66,
                ),
            ),
        ),
        latency_ratio={"reference_encoder": 1.42, "localizer": 1.31},
        int8_share_of_macs={"reference_encoder": 0.98, "localizer": 0.97},
        graph_sha256={},
        samples=("scenes_held", "ortho_held"),
        environment={"processor": "made up", "onnxruntime": "1.0"},
        seconds=512.0,
    )
