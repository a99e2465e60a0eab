"""`tilefix export`: a checkpoint becomes a bundle, or a bundle gets a precision or frame size."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from edge.bundle import Bundle

PATH = click.Path(path_type=Path)


class FrameSides(click.ParamType):
    """512 or 512x288: width and height in pixels."""

    name = "px"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read it.

        Raises:
            click.BadParameter: something else.
        """
        if isinstance(value, tuple):
            return value
        sides = value.lower().split("x")
        if len(sides) > 2 or not all(side.isascii() and side.isdigit() for side in sides):
            self.fail(f"{value!r} is no size: a side such as 320, or 320x224", param, ctx)
        return int(sides[0]), int(sides[-1])


@click.command()
@click.option("--checkpoint", type=PATH, help="A .safetensors of `tilefix train`, of any model.")
@click.option(
    "--from-bundle",
    type=PATH,
    help="Change this bundle of a lite: add --precision, or --frame-px, which takes the shipped "
    "one when none is given.",
)
@click.option(
    "--frame-px",
    type=FrameSides(),
    metavar="SIDE|WIDTHxHEIGHT",
    help="A copy of a bundle for frames of this size, such as 320; in the shape of the "
    "camera, such as 320x224 for 16:9, it computes fewer borders.",
)
@click.option("--out", type=PATH, required=True, help="Folder of the bundle; replaced if there.")
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16"]),
    multiple=True,
    help="Of the graphs; more than one may be given. Both when not given.",
)
@click.option("--name", help="Of the bundle; that of the model when not given.")
@click.option("--version", "bundle_version", default="1", show_default=True)
@click.option("--alignment", type=PATH, help="xfeat.onnx; made when not given.")
@click.option("--no-alignment", is_flag=True, help="Leave frame alignment out.")
@click.option("--fit-on", type=PATH, multiple=True, help="Samples to fit the acceptance on.")
@click.option("--held-out", type=PATH, multiple=True, help="Samples that choose its threshold.")
@click.option("--data-note", default="", help="Training data and their licences, for people.")
@click.option("--gsd-m", default=0.25, show_default=True, help="Ground size of a window pixel.")
@click.option(
    "--attention-plugin",
    is_flag=True,
    help="Attentions between the views as nodes CrossAttention of the plugin: faster than torch's "
    "for some sizes, slower for others (export/plugin/README.md); beside TensorRT's not measured.",
)
@click.pass_context
def export(
    context: click.Context,
    checkpoint: Path | None,
    from_bundle: Path | None,
    frame_px: tuple[int, int] | None,
    out: Path,
    precisions: tuple[str, ...],
    name: str | None,
    bundle_version: str,
    alignment: Path | None,
    no_alignment: bool,
    fit_on: tuple[Path, ...],
    held_out: tuple[Path, ...],
    data_note: str,
    gsd_m: float,
    attention_plugin: bool,
) -> None:
    """Checkpoint to bundle: graphs, head, alignment, fitted acceptance, hashes.

    With --from-bundle and --precision, or with --frame-px: a bundle's copy with more graphs, or for
    frames of another size. Its windows are encoded as before, so stored features serve both.
    Coarser frames look less like their place: with --fit-on and --held-out the acceptance of the
    copy is fitted on frames of its size.
    """
    import tempfile

    from edge.bundle import shipped_bundle_path
    from edge.errors import UsageError
    from export.added_precision import add_precisions
    from export.bundle_maker import make_bundle
    from export.frame_size import resize_frame
    from export.graphs import PRECISIONS
    from export.request_checks import (
        check_place,
        check_request,
        check_samples,
        check_two_sets,
    )
    from export.xfeat import export_xfeat

    if frame_px is not None and checkpoint is None and from_bundle is None:
        from_bundle = shipped_bundle_path()
    if (checkpoint is None) == (from_bundle is None):
        raise UsageError(
            "it is not clear what to export",
            expected="one of --checkpoint and --from-bundle",
            found="both" if checkpoint else "neither",
            do="give a checkpoint, or a bundle that shall have another precision or frame size",
        )
    if frame_px is not None:
        own = "frame_px", "fit_on", "held_out"
        _refuse_others(context, "--frame-px", own, "with or without --fit-on and --held-out")
        check_two_sets(fit_on, held_out)
        check_place(out)
        check_samples((*fit_on, *held_out))
        _report(out, resize_frame(from_bundle, out, frame_px, fit_on, held_out, _fitting))
        return
    precisions = precisions or PRECISIONS
    check_place(out)
    if checkpoint is None:
        _refuse_others(context, "--precision", ("precisions",))
        _report(out, add_precisions(from_bundle, out, precisions))
        return
    check_two_sets(fit_on, held_out)
    # What is quick to check comes first: the graph of the alignment alone takes half a minute.
    check_request(
        checkpoint,
        precisions,
        gsd_m,
        None if no_alignment else alignment,
        fit_on,
        held_out,
        with_alignment=not no_alignment,
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
            precisions=precisions,
            attention_plugin=attention_plugin,
            progress=_fitting,
        )
    _report(out, bundle)


def _fitting(indices: Iterable[int]) -> Iterable[int]:
    from rich.progress import track

    return track(indices, description="fit acceptance")


def _refuse_others(
    context: click.Context, option: str, names: tuple[str, ...], others: str = "alone"
) -> None:
    """Refuse options that a copy of a bundle does not take: `names` are those that it does."""
    from edge.errors import UsageError

    of_bundle = ("from_bundle", "out", *names)
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in of_bundle
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)} means nothing together with --from-bundle and {option}",
            expected=f"--from-bundle with {option} and --out {others}",
            found=", ".join(given),
            do="leave it out: that stays as it is in the bundle",
        )


def _report(out: Path, bundle: Bundle) -> None:
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    made = ", ".join(bundle.precisions)
    what = f"{bundle.manifest.name} {bundle.manifest.version}"
    click.echo(f"{out}: {what}, {made}, {size / 1e6:.1f} MB")
    if bundle.manifest.acceptance.fitted_on.startswith("nothing"):
        click.echo("no acceptance was fitted: this bundle accepts no fix")
