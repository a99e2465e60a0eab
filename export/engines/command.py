"""`tilefix build`: the graphs of a bundle become TensorRT engines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.commands.options import FilledCommand

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from export.engines.build import BuildSettings, BuiltEngine
    from export.engines.measuring import Measurer
    from export.engines.replay_pictures import Pictures
    from export.engines.targets import Target

PATH = click.Path(path_type=Path)
AUTO = "auto"
INTERRUPTED = 130
PRECISIONS = ("fp32", "fp16", "int8", AUTO)
GRAPHS = {"encoder": "reference_encoder", "localizer": "localizer"}


@click.command(cls=FilledCommand)
@click.argument("bundle", type=PATH, required=False)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp16", show_default=True)
@click.option(
    "--target",
    default="local",
    show_default=True,
    help="local, or compute capabilities: sm80,sm86,sm89,sm120 (TensorRT-RTX, no GPU needed).",
)
@click.option("--toolkit", help="tensorrt or tensorrt-rtx; the one that is there when not given.")
@click.option("--plugin", type=PATH, help="Folder of `tilefix plugin build`; fp32 needs none.")
@click.option(
    "--buckets", default="1,4,16,64", show_default=True, help="Numbers of clicks to build for."
)
@click.option("--graph", type=click.Choice(tuple(GRAPHS)), help="Only this one; both by default.")
@click.option("--force", is_flag=True, help="Build even what is already there.")
@click.option(
    "--memory-mb",
    type=click.IntRange(1),
    help="End a build that takes more memory and swap than this; 90 % of what is free by default. "
    "tensorrt-rtx is refused more beforehand; what tensorrt takes of a GPU's own memory is not "
    "counted.",
)
@click.option("--logs", type=PATH, help="Folder to keep the builder's verbose logs in.")
@click.option(
    "--inputs",
    default="demo",
    show_default=True,
    help="What auto measures on: demo, random, or a folder of pictures.",
)
@click.option(
    "--replay",
    type=PATH,
    help="Selection folder of `tilefix calibrate`: up to 64 of its frames are located by the "
    "engines, in place of the pictures that an INT8 bundle carries. In any precision; needs the "
    "device.",
)
def build(
    bundle: Path | None,
    precision: str,
    target: str,
    toolkit: str | None,
    plugin: Path | None,
    buckets: str,
    graph: str | None,
    force: bool,
    memory_mb: int | None,
    logs: Path | None,
    inputs: str,
    replay: Path | None,
) -> None:
    """Build the engines of BUNDLE, or of the shipped one.

    Both graphs, in one precision, with one optimisation profile for each number of clicks. Every
    engine is proved by its layer table before it is kept: the plugin is in it, and its convolutions
    run in the promised type. `auto` builds every precision of the bundle, measures each on this
    device, compares its boxes with fp32 in ONNX Runtime, and keeps the fastest that passes. Where
    nothing can be measured all stay, and fp16 is named by rule. `int8` takes the graphs of
    `tilefix calibrate` for TensorRT, int8+fp16. Where the device is here, INT8 engines then locate
    the pictures that the bundle carries, and how their boxes agree with float32's goes into the
    manifests; until then `tilefix run` warns. What was compared on these pictures is not again.

    Engines go to BUNDLE/engines, or to $TILEFIX_ENGINES/NAME where that is set.
    """
    from edge.assembly import open_bundle
    from edge.precisions import TENSORRT_FORM, graph_precision
    from export.engines.build import (
        BuildSettings,
        build_engine,
        check_graphs,
        check_precision,
    )
    from export.engines.device import local_gpu
    from export.engines.replay_pictures import open_pictures, own_pictures
    from export.engines.targets import choose_target
    from export.output_folder import check_output

    if logs is not None:
        check_output(logs, "--logs")
    clicks = read_buckets(buckets)
    chosen = choose_target(target, toolkit, local_gpu())
    opened = open_bundle(bundle)
    precision = graph_precision(precision, chosen.toolkit.executor)
    if precision != AUTO:
        check_precision(opened, precision)
    settings = BuildSettings(chosen, plugin, clicks, force, memory_mb, logs)
    kinds = (GRAPHS[graph],) if graph else tuple(GRAPHS.values())
    shown: Pictures | str = ""
    if replay is not None:
        shown = open_pictures(replay, opened, chosen, len(kinds))
    elif TENSORRT_FORM in (opened.precisions if precision == AUTO else (precision,)):
        shown = own_pictures(opened, chosen, len(kinds))
    stayed: tuple[BuiltEngine, ...] = ()
    try:
        if precision == AUTO:
            made, stayed = _build_auto(opened, kinds, settings, inputs)
        else:
            check_graphs(opened, kinds, precision, settings)
            made = ()
            for kind in kinds:
                made += (build_engine(opened, kind, precision, settings, click.echo),)
                _show(made[-1])
        wanted = [made] if replay is not None else []
        for group in (made, tuple(x for x in stayed if x.manifest.key.precision == TENSORRT_FORM)):
            int8 = all(x.manifest.key.precision == TENSORRT_FORM for x in group)
            if int8 and len(group) == len(kinds) and group not in wanted:
                wanted.append(group)
        for group in wanted:
            _replay(opened, group, shown, chosen.toolkit.executor, again=replay is not None)
    except KeyboardInterrupt:
        click.echo("interrupted: finished engines are kept, the same command goes on", err=True)
        sys.exit(INTERRUPTED)


def _build_auto(
    bundle: Bundle, kinds: tuple[str, ...], settings: BuildSettings, inputs: str
) -> tuple[tuple[BuiltEngine, ...], tuple[BuiltEngine, ...]]:
    from export.engines.auto import build_auto

    measurer = _measurer(bundle, settings.target, kinds, inputs)
    made = build_auto(bundle, kinds, settings, measurer, click.echo)
    for each in (*made.stayed, *made.kept):
        _show(each)
    for line in made.choice.lines:
        click.echo(line)
    if made.stayed and not made.choice.measured:
        click.echo("the others stay too: run this on the device, which measures and removes them")
    if made.removed:
        click.echo(f"removed again: {', '.join(made.removed)}")
    return made.kept, made.stayed


def _replay(
    bundle: Bundle,
    engines: tuple[BuiltEngine, ...],
    pictures: Pictures | str,
    executor: str,
    *,
    again: bool,
) -> None:
    """Compare boxes, or say why they are not; `again`: also where an earlier build did."""
    from edge.errors import TilefixError
    from export.engines.replay import known_replay, replay, told

    if isinstance(pictures, str):
        click.echo(f"boxes in INT8 were not compared with float32's here: {pictures}")
        return
    known = None if again else known_replay(engines, pictures)
    if known is not None:
        click.echo(f"already {told(known)}")
        return
    click.echo(f"replaying frames in windows, {len(pictures.cases)} pairs")
    try:
        record = replay(bundle, engines, pictures, executor)
    except TilefixError:
        click.echo("the engines are kept, with boxes that were not compared", err=True)
        raise
    click.echo(told(record))


def read_buckets(text: str) -> tuple[int, ...]:
    """ "16, 1,4" -> (1, 4, 16).

    Raises:
        UsageError: something that is no number of clicks from 1 to 64.
    """
    from edge.errors import UsageError
    from export.plugin.tile_attention import CLICK_LIMIT

    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = [int(part) for part in parts if part.isdecimal()]
    bad = len(numbers) < len(parts) or not all(1 <= each <= CLICK_LIMIT for each in numbers)
    if bad or not numbers:
        raise UsageError(
            "--buckets cannot be read",
            expected=f"numbers of clicks from 1 to {CLICK_LIMIT}, with commas between: 1,4,16,64",
            found=repr(text),
            do=f"split frames with more clicks: the kernel takes {CLICK_LIMIT} at once",
        )
    return tuple(sorted(set(numbers)))


def _measurer(
    bundle: Bundle, target: Target, kinds: tuple[str, ...], inputs: str
) -> Measurer | str:
    """What measures the engines here, or why nothing can.

    Raises:
        UsageError: no inputs.
        SourceError: they are no folder.
    """
    from edge.errors import UsageError
    from export.engines.measuring import DeviceMeasurer
    from export.verification.cases import check_folder, demo_cases, folder_cases, random_cases
    from export.verification.tolerances import RANDOM

    folder = None if inputs in ("demo", RANDOM) else Path(inputs)
    if folder is not None:
        check_folder(folder)
    if not target.present:
        return f"this machine has no GPU of {target.names}"
    if len(kinds) < len(GRAPHS):
        return "one graph alone cannot be measured"
    if folder is not None:
        cases = folder_cases(bundle, folder)
    else:
        cases = random_cases(bundle) if inputs == RANDOM else demo_cases(bundle)
    found = list(cases)
    if not found:
        raise UsageError(
            "there is nothing to measure on",
            expected="--inputs with at least one frame that has clicks",
            found=f"--inputs {inputs} without any",
            do="leave --inputs out for the demo flight, or give a folder of pictures",
        )
    return DeviceMeasurer(bundle, found, target.toolkit.executor, inputs)


def _show(engine: BuiltEngine) -> None:
    from export.engines.auto import NOTE

    key, layers = engine.manifest.key, engine.manifest.layers
    state = "built" if engine.new else "already built"
    size = engine.manifest.engine_bytes / 1e6
    took = f" in {engine.manifest.build_s:.1f} s" if engine.new and engine.manifest.build_s else ""
    click.echo(f"{key.kind} {key.precision}: {state}{took}, {size:.1f} MB, {engine.folder}")
    types = ", ".join(f"{count} {kind}" for kind, count in layers.convolutions.items())
    click.echo(
        f"  {layers.layers} layers ({layers.source}): convolutions {types or 'none'}; "
        f"plugin layers {layers.plugin_layers}; float32 layers {len(layers.float32_layers)}"
    )
    for note in engine.manifest.notes if engine.new else ():
        if not note.startswith(NOTE):  # these follow once, below the engines
            click.echo(f"  {note}")
