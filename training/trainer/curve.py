"""Draw the curves of runs or of their logs.

Use: `python -m training.trainer.curve RUN... --out curve.png`.
"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def draw(runs: tuple[Path, ...], out: Path) -> None:
    """Loss and held-out accuracy over steps, one column per run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(runs), figsize=(6 * len(runs), 7), squeeze=False)
    for column, run in enumerate(runs):
        log = run / "log.jsonl" if run.is_dir() else run
        lines = [json.loads(text) for text in log.read_text().splitlines()]
        steps = [line for line in lines if "loss" in line]
        epochs = [line for line in lines if "epoch" in line]
        top, low = axes[0][column], axes[1][column]
        for term in ("loss", "confidence", "similarity", "box"):
            top.plot([x["step"] for x in steps], [x[term] for x in steps], label=term, lw=1)
        top.set_title(f"{run.stem}: training")
        for name in ("acc@0.25", "acc@0.5", "prior_acc@0.25", "prior_acc@0.5"):
            low.plot([x["step"] for x in epochs], [x[name] for x in epochs], "o-", label=name)
        low.set_title("held out: without and with a prior")
        low.set_ylim(0, 1)
        for axis in (top, low):
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8, loc="upper right" if axis is top else "lower right")
            axis.set_xlabel("step")
    figure.tight_layout()
    figure.savefig(out, dpi=90)
    click.echo(out)


if __name__ == "__main__":
    draw()
