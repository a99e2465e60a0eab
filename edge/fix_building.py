"""From the numbers of a graph, their judgements and their places: one fix per click."""

from __future__ import annotations

from collections.abc import Sequence

from edge.acceptance import Judgement
from edge.placement import Placement
from edge.types import Click, Fix, Frame, Localizations, Prior, PriorSource, Timings


def fixes_of(
    found: Localizations,
    judged: Sequence[Judgement],
    places: Sequence[Placement] | None,
    prior: Prior,
    *,
    frame: Frame,
    clicks: Sequence[Click],
    window_id: str,
    made_by: tuple[str, str],
    timings: Timings,
) -> list[Fix]:
    """Put together what is known of each click.

    Args:
        found: of N clicks.
        judged: N judgements.
        places: N places; None: the window is not on the Earth.
        prior: that was given for the N clicks.
        frame: that the clicks are in.
        clicks: N of them.
        window_id: of the window they were looked for in.
        made_by: executor and precision.
        timings: of the call.
    """
    fixes = []
    for index, (click, judgement) in enumerate(zip(clicks, judged, strict=True)):
        at = places[index] if places else None
        informed = bool(prior.inv_var[index] > 0)
        x1, y1, x2, y2 = found.box_xyxy_px[index].tolist()
        fixes.append(
            Fix(
                click_id=click.click_id,
                click_xy_px=(click.x_px, click.y_px),
                frame_index=frame.index,
                frame_source=frame.source,
                capture_time_s=frame.time_s,
                window_id=window_id,
                box_xyxy_px=(x1, y1, x2, y2),
                lon_lat_deg=at.lon_lat_deg if at else None,
                corners_lon_lat_deg=at.corners_lon_lat_deg if at else (),
                error_radius_m=at.error_radius_m if at else None,
                acceptance_probability=judgement.probability,
                verdict=judgement.verdict,
                reason=judgement.reason,
                confidence_logit=float(found.confidence_logit[index]),
                peak_similarity=float(found.peak_similarity[index]),
                second_peak_similarity=float(found.second_peak_similarity[index]),
                prior_source=prior.source if informed else PriorSource.NONE,
                prior_inliers=prior.inliers if informed else 0,
                executor=made_by[0],
                precision=made_by[1],
                timings=timings,
            )
        )
    return fixes
