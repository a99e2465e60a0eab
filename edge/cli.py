"""The console command `tilefix`: a table of verbs, each loaded only when it is called.

`tilefix --help` must answer in under 0.3 s, so nothing heavier than click is imported here.
"""

from __future__ import annotations

import errno
import importlib
import sys
from pathlib import Path
from typing import NoReturn

import click

from edge import __version__
from edge.errors import TilefixError
from edge.extras import missing_library

# verb -> (where its click command is, the line that --help shows). Modules outside `edge` are named
# as strings on purpose: `edge` imports none of them.
VERBS: dict[str, tuple[str, str]] = {
    "demo": ("edge.commands.demo:demo", "Fly the bundled flight and show its fixes against truth."),
    "run": ("edge.commands.run:run", "Locate clicked objects of pictures, videos and cameras."),
    "evaluate": ("edge.commands.evaluate:evaluate", "Score a bundle on labelled pairs."),
    "tiles": ("edge.commands.tiles:tiles", "Import, inspect and encode maps."),
    "doctor": ("edge.commands.doctor:doctor", "Check this machine and say what is missing."),
    "train": ("training.trainer.command:train", "Train a model (needs the extra 'train')."),
    "experiment": (
        "training.experiments.command:experiment",
        "Ask a question of a model: a table, JSON and a plot (needs the extra 'train').",
    ),
    "datasets": ("training.datasets.command:datasets", "Make and check training data."),
    "import-checkpoint": (
        "training.checkpoints.command:import_checkpoint",
        "Take weights that others published (needs the extra 'train').",
    ),
    "export": ("export.command:export", "Checkpoint to bundle (extras 'export' and 'train')."),
    "build": ("export.engines.command:build", "Bundle to TensorRT engines (needs TensorRT)."),
    "calibrate": (
        "calibration.command:calibrate",
        "INT8 from recorded flights, with proof (needs the extra 'export').",
    ),
    "verify": (
        "export.verification.command:verify",
        "Do the runs of a bundle agree, and where do they part (needs 'export' for taps)?",
    ),
    "bench": ("benchmarks.command:bench", "Measure a bundle on this machine; compare and report."),
    "plugin": ("export.plugin.command:plugin", "Build the TensorRT plugin (needs nvcc)."),
}

INTERRUPTED = 130


class LazyVerbs(click.Group):
    """A click group that imports a verb's module when the verb is used, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one verb; None for an unknown one."""
        if cmd_name not in VERBS:
            return None
        module_name, _, attribute = VERBS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module_name), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{VERBS[cmd_name][0]} is not a click command")
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; Ctrl-C that the verb does not answer itself ends with 130, not as a failure.

        For `verify`, 1 means that something does not agree.
        """
        try:
            result: object = super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("tilefix: interrupted", err=True)
            sys.exit(INTERRUPTED)
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, without importing any."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.command(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tilefix")
def tilefix() -> None:
    """Find the objects of a drone's camera frame on the satellite map cached on board."""


def main() -> None:
    """Run the command; a tilefix error ends with its four-part text and its own exit code.

    So does a library of an extra that is not installed: which verb needs which shows on import. And
    so does a full disk, wherever it was met.
    """
    try:
        tilefix()
    except TilefixError as error:
        _end(error)
    except ModuleNotFoundError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        _end(missing)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        from edge.sinks import not_written

        _end(not_written(Path(error.filename or "the output"), error))


def _end(error: TilefixError) -> NoReturn:
    click.echo(f"tilefix: {error}", err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
