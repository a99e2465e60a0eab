"""How much does a careless click cost? Accuracy of trained checkpoints against the clicks' error.

No training: the clicks of a test split are moved by a normal error of a sigma in x and in y, the
same errors for every checkpoint. MOGeo's critics ask it of the one-hot encoding; the hybrid
encoding of `training.models.click_maps` is an answer to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.bundle import sha256_of
from edge.errors import UsageError
from edge.scoring import Scores
from training.checkpoints.weights import load_weights
from training.datasets.registry import open_dataset
from training.evaluation.measured_files import write_json
from training.evaluation.published import score_model
from training.experiments.variants import Outcome

NAME = "click-noise"
DEFAULT_SIGMAS_PX = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
X_LABEL = "error of the click, one sigma in x and y, pixels of the frame"


def measure(
    checkpoints: Sequence[Path],
    root: Path,
    set_name: str,
    split: str,
    sigmas_px: Sequence[float],
    out: Path,
    *,
    batch: int = 8,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Outcome]]:
    """Outcomes of each checkpoint, by its file; what was measured already is read back.

    Args:
        checkpoints: of any models.
        root: of the data set.
        set_name: its name.
        split: of it.
        sigmas_px: errors of the clicks.
        out: folder of the experiment.
        batch: pairs at once.
        say: called with a line about each that is begun.

    Raises:
        UsageError: a sigma below 0, or none.
        CheckpointError: a file that is no checkpoint of tilefix.
        DataError: data that are not there, or do not fit the model.
    """
    if not sigmas_px or min(sigmas_px) < 0:
        raise UsageError(
            "clicks cannot be off by this",
            expected="pixels of the frame, 0 or more",
            found=", ".join(f"{s:g}" for s in sigmas_px) or "none",
            do="write, for instance, --click-noise 0 --click-noise 4",
        )
    source = open_dataset(set_name, root, split)
    found: dict[str, list[Outcome]] = {}
    for path in checkpoints:
        model, _ = load_weights(path)
        identity = sha256_of(path)
        outcomes = []
        for sigma in sorted(set(sigmas_px)):
            name = f"{identity[:16]}-{set_name}-{split}-{sigma:g}.json"
            file = out / "measured" / name
            if not file.exists():
                say(f"{path}: clicks off by {sigma:g} px")
                scores = score_model(model, source, set_name, batch=batch, click_sigma_px=sigma)
                write_json(file, dict(scores))
            kept: Scores = json.loads(file.read_text())
            outcomes.append(Outcome(f"{sigma:g} px", sigma, 0, kept))
        found[str(path)] = outcomes
    return found
