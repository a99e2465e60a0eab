"""Whether the graphs of a bundle answer as the torch model of its weights does."""

from __future__ import annotations

import numpy as np
import torch

from edge.bundle import Bundle
from edge.localizer import Localizer
from edge.types import ReferenceFeature
from export.bundle_weights import lite_from_bundle
from export.graphs import torch_run


def check_torch(bundle: Bundle, frame: np.ndarray, clicks: np.ndarray) -> None:
    """Its answers about a frame of its own size against those of the torch model."""
    feature = made_feature(bundle, np.random.default_rng(5))
    found = Localizer.open(bundle).locate(frame, clicks, feature)
    inputs = {
        "frame": frame,
        "frame_affine": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
        "click_xy_px": clicks,
        "prior_xy_px": np.zeros((3, 2), np.float32),
        "prior_inv_var": np.zeros(3, np.float32),
        **feature.tensors,
    }
    tensors = {name: torch.as_tensor(value) for name, value in inputs.items()}
    with torch.no_grad():
        wanted, _ = torch_run(lite_from_bundle(bundle), tensors)
    for name in ("peak_similarity", "confidence_logit", "box_xyxy_px"):
        assert np.allclose(getattr(found, name), wanted[name].numpy(), rtol=1e-3, atol=2e-3), name


def made_feature(bundle: Bundle, rng: np.random.Generator) -> ReferenceFeature:
    """A window of the bundle's size, with vectors of unit length as its encoder makes them."""
    tensors = {
        spec.name: rng.normal(size=spec.shape).astype(spec.dtype)
        for spec in bundle.manifest.features
    }
    size = bundle.manifest.window
    length = np.linalg.norm(tensors["v"].astype(np.float64), axis=0)
    tensors["v"] = (tensors["v"] / length).astype(np.float16)
    return ReferenceFeature(
        tensors, None, size.width_px, size.height_px, "w", "m", bundle.model_id, 1.0
    )
