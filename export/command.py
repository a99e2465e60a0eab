"""`tilefix export`: a trained checkpoint becomes a bundle."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command()
@click.option("--checkpoint", type=PATH, required=True, help="A .safetensors of `tilefix train`.")
@click.option("--out", type=PATH, required=True, help="Folder of the bundle; replaced if there.")
@click.option("--name", default="lite", show_default=True)
@click.option("--version", "bundle_version", default="1", show_default=True)
@click.option("--alignment", type=PATH, help="xfeat.onnx; made when not given.")
@click.option("--no-alignment", is_flag=True, help="Leave frame alignment out.")
@click.option("--fit-on", type=PATH, multiple=True, help="Samples to fit the acceptance on.")
@click.option("--held-out", type=PATH, multiple=True, help="Samples that choose its threshold.")
@click.option("--data-note", default="", help="Training data and their licences, for people.")
@click.option("--gsd-m", default=0.25, show_default=True, help="Ground size of a window pixel.")
def export(
    checkpoint: Path,
    out: Path,
    name: str,
    bundle_version: str,
    alignment: Path | None,
    no_alignment: bool,
    fit_on: tuple[Path, ...],
    held_out: tuple[Path, ...],
    data_note: str,
    gsd_m: float,
) -> None:
    """Checkpoint to bundle: graphs, head, alignment, fitted acceptance, hashes."""
    import tempfile

    from rich.progress import track

    from edge.errors import UsageError
    from export.bundle_maker import make_bundle
    from export.xfeat import export_xfeat

    if bool(fit_on) != bool(held_out):
        raise UsageError(
            "acceptance needs two sets of samples",
            expected="--fit-on and --held-out, of different places",
            found="--fit-on alone" if fit_on else "--held-out alone",
            do="render another set with `tilefix datasets render --window-px 1024 --seed ...`",
        )
    with tempfile.TemporaryDirectory() as scratch:
        if alignment is None and not no_alignment:
            alignment = Path(scratch) / "xfeat.onnx"
            export_xfeat(alignment)
        bundle = make_bundle(
            checkpoint,
            out,
            name=name,
            version=bundle_version,
            alignment=None if no_alignment else alignment,
            fit_on=list(fit_on),
            held_out=list(held_out),
            gsd_m=gsd_m,
            data_note=data_note,
            scores={},
            progress=lambda r: track(r, description="fit acceptance"),
        )
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    click.echo(f"{out}: {bundle.manifest.name} {bundle.manifest.version}, {size / 1e6:.1f} MB")
