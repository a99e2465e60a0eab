"""The contract of the localizer in loops over Python floats, sharing no line with `edge`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def spelled_out(head: dict[str, Any], q, v, u, prior_xy, inv_var) -> dict[str, Any]:
    """All outputs but the query vector, for one click."""
    depth, rows, columns = v.shape
    stride = float(head["stride_px"])
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    similarity = {
        (r, c): math.fsum(float(q[d]) * float(v[d, r, c]) for d in range(depth)) for r, c in cells
    }
    hidden, best = {}, None
    for k in range(len(head["tau"])):
        for r, c in cells:
            if (r, c) not in hidden:
                gate = float(head["alpha"]) + float(head["beta"]) * similarity[r, c]
                raw = [
                    gate * (float(u[i, r, c]) + float(head["w_a"][i])) + float(head["b"][i])
                    for i in range(u.shape[0])
                ]
                hidden[r, c] = [x if x > 0 else 0.1 * x for x in raw]
            x, y = (c + 0.5) * stride, (r + 0.5) * stride
            apart = (x - prior_xy[0]) ** 2 + (y - prior_xy[1]) ** 2
            logit = math.fsum(
                float(a) * b for a, b in zip(head["w_conf"][k], hidden[r, c], strict=True)
            )
            logit += float(head["c_conf"][k]) + float(head["tau"][k]) * similarity[r, c]
            if inv_var > 0:
                logit -= 0.5 * apart / (1 / inv_var + stride * stride / 12)
            if best is None or logit > best[0]:
                best = (logit, k, r, c)
    logit, k, r, c = best
    t = [
        math.fsum(float(a) * b for a, b in zip(head["w_box"][k, i], hidden[r, c], strict=True))
        + float(head["b_box"][k, i])
        for i in range(4)
    ]
    cx, cy = ((1 / (1 + math.exp(-max(t[i], -700))) + (c, r)[i]) * stride for i in range(2))
    w, h = (
        math.exp(min(4, max(-4, t[2 + i]))) * float(head["anchors_wh_px"][k, i]) for i in (0, 1)
    )
    if inv_var > 0:
        own = float(head["centre_var"]) * w * h + float(head["floor_var_px2"])
        of_prior = 1 / inv_var + float(head["click_var"]) * w * h
        share = own / (own + of_prior)
        cx, cy = cx + share * (prior_xy[0] - cx), cy + share * (prior_xy[1] - cy)
    peak = max(cells, key=lambda cell: similarity[cell])
    others = [
        similarity[cell]
        for cell in cells
        if max(abs(cell[0] - peak[0]), abs(cell[1] - peak[1])) > 2
    ]
    return {
        "box_xyxy_px": [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2],
        "confidence_logit": logit,
        "peak_similarity": similarity[peak],
        "second_peak_similarity": max(others, default=-1.0),
        "cell_similarity": similarity[r, c],
        "attention": [
            [similarity[row, column] for column in range(columns)] for row in range(rows)
        ],
    }


def assert_as_spelled_out(found, inputs, head, atol: float = 2e-4) -> None:
    for index, q in enumerate(found["query_vector"]):
        prior = inputs["prior_xy_px"][index].tolist(), float(inputs["prior_inv_var"][index])
        wanted = spelled_out(head, q, inputs["v"], inputs["u"], *prior)
        for name, value in wanted.items():
            np.testing.assert_allclose(
                found[name][index], value, rtol=1e-5, atol=atol, err_msg=f"{name} of click {index}"
            )
