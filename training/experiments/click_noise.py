"""How much does a careless click cost? Accuracy of trained checkpoints against the clicks' error.

No training: the clicks of a test split are moved by a normal error of a sigma in x and in y, the
same errors for every checkpoint. MOGeo's critics ask it of the one-hot encoding; the hybrid
encoding of `training.models.click_maps` is an answer to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.bundle import sha256_of
from edge.errors import UsageError
from edge.scoring import Scores
from training.checkpoints.weights import load_weights
from training.datasets.registry import open_dataset
from training.evaluation.click_noise import NAME
from training.evaluation.measured_files import read_scores, write_json
from training.evaluation.published import score_model
from training.experiments.asked import FILE, refuse_another, write_asked

DEFAULT_SIGMAS_PX = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


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
) -> dict[str, dict[float, Scores]]:
    """Scores of each checkpoint by the error of the clicks; what was measured is read back.

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
        UsageError: a sigma below 0, not finite, or none; or `out` is of other data.
        CheckpointError: a file that is no checkpoint of tilefix.
        DataError: data that are not there, or do not fit the model; or a damaged file in `out`.
    """
    if not sigmas_px or not all(0 <= sigma < math.inf for sigma in sigmas_px):
        raise UsageError(
            "clicks cannot be off by this",
            expected="pixels of the frame, 0 or more",
            found=", ".join(f"{s:g}" for s in sigmas_px) or "none",
            do="write, for instance, --click-noise 0 --click-noise 4",
        )
    source = open_dataset(set_name, root, split)
    asked = {
        "experiment": NAME,
        "data": str(root.resolve()),
        "set": set_name,
        "split": split,
        "samples": len(source),
    }
    refuse_another(out, asked)
    begun = (out / FILE).exists()  # without it nobody knows what lies there was measured on
    found: dict[str, dict[float, Scores]] = {}
    for path in checkpoints:
        model, _ = load_weights(path)
        begin = out / "measured" / f"{sha256_of(path)[:16]}-{set_name}-{split}"
        files = {sigma: Path(f"{begin}-{sigma!r}.json") for sigma in sorted(set(sigmas_px))}
        new = [sigma for sigma, file in files.items() if not (begun and file.exists())]
        if new:
            say(f"{path}: clicks off by {', '.join(f'{sigma:g}' for sigma in new)} px")
            scores = score_model(model, source, set_name, batch=batch, click_sigmas_px=new)
            write_asked(out, asked)  # only now: data that do not fit leave nothing behind
            for sigma, measured in zip(new, scores, strict=True):
                write_json(files[sigma], dict(measured))
        found[str(path)] = {s: read_scores(file) for s, file in files.items()}
    return found
