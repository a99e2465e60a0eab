"""What a training can start from: a checkpoint, or the weights that a bundle's graphs hold."""

from __future__ import annotations

from pathlib import Path

from edge.errors import UsageError
from training.checkpoints.weights import load_weights
from training.models import Model, name_of
from training.models.lite import Lite


def starting_model(path: Path) -> Model:
    """The trained model in a checkpoint or in a bundle's folder, in eval mode.

    A bundle's batch norms are folded into its convolutions (`training.models.folded_norms`).

    Raises:
        CheckpointError: a file that is no checkpoint.
        BundleError: a folder that is no bundle of a `lite`.
    """
    if not path.is_dir():
        return load_weights(path)[0]
    from edge.bundle import Bundle
    from export.bundle_weights import lite_from_bundle

    return lite_from_bundle(Bundle.open(path))


def starting_lite(path: Path) -> Lite:
    """The same of a `lite` alone.

    Raises:
        UsageError: another model.
        CheckpointError, BundleError: see `starting_model`.
    """
    model = starting_model(path)
    if not isinstance(model, Lite):
        raise UsageError(
            f"{path} is of another model",
            expected="lite, the one that trains from cached features",
            found=name_of(model),
            do="give a checkpoint or a bundle of lite",
        )
    return model
