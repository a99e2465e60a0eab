"""`tilefix bench`: measure a bundle on this machine, compare records, report.

A group that measures when it is called without a subcommand; each of those lives in its own room
and is imported only when it is called.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from benchmarks.finite import Finite
from benchmarks.peers.catalogue import OURS, PEERS
from edge.commands.executor_options import executor_options
from edge.commands.options import THREADS
from edge.cores import import_numpy_on_one_thread
from edge.errors import UsageError

# subcommand -> (where its click command is, the line that --help shows)
SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "compare": ("benchmarks.record.command:compare", "Ratios of two records, with intervals."),
    "report": ("benchmarks.report.command:report", "One HTML file of one or more records."),
    "table": ("benchmarks.table_command:table", "Records as tables for the README."),
    "scale": ("benchmarks.scale.command:scale", "What encoding a large area costs."),
}
SCENARIOS = ("single-stream", "multi-stream", "periodic", "offline", "soak")
STATES = ("cold", "warm", "mixed")
SLOWEST_HZ = 0.001  # a frame in a quarter of an hour; in far less no clock can count its time


class LazySubcommands(click.Group):
    """A click group that imports a subcommand's module when it is used, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All subcommands in the order of the table."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one subcommand; None for an unknown one."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module_name, _, attribute = SUBCOMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module_name), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{SUBCOMMANDS[cmd_name][0]} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in SUBCOMMANDS.items()])


@click.group(
    cls=LazySubcommands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--quick", is_flag=True, help="Few queries: the whole run in under 3 minutes.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("bench"),
    show_default=True,
    help="Folder of the record, bench.jsonl; a run that was cut short goes on there.",
)
@click.option("--bundle", type=click.Path(), help="Folder of a bundle; default: the shipped one.")
@executor_options
@click.option("--threads", type=THREADS, default=2, show_default=True)
@click.option(
    "--pairs",
    type=click.Path(path_type=Path),
    help="Labelled pairs: frames, clicks, map. Default: the bundled flight.",
)
@click.option(
    "--clicks",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="In each frame of `periodic`, `soak` and --peers; `multi-stream` takes 1, 2, 4, 8, 16 and "
    "this number.",
)
@click.option(
    "--rate-hz",
    type=Finite(SLOWEST_HZ),
    default=30.0,
    show_default=True,
    help="Of the camera in `periodic`.",
)
@click.option(
    "--hit-rate",
    type=Finite(0, 1),
    default=0.9,
    show_default=True,
    help="How often `mixed` finds its window encoded.",
)
@click.option(
    "--scenario",
    "scenarios",
    type=click.Choice(SCENARIOS),
    multiple=True,
    help="Only this one; several times for several. Default: all but soak.",
)
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Default: all.")
@click.option("--peers", is_flag=True, help="Also measure other ways to the same answer.")
@click.option(
    "--redo",
    type=click.Choice([peer.key for peer in PEERS if peer.key != OURS]),
    multiple=True,
    help="With --peers: measure this one again, with lite beside it; several times for several.",
)
@click.option("--cross-check", is_flag=True, help="Compare the engine's time with trtexec's.")
@click.option(
    "--minutes",
    type=Finite(0, min_open=True),
    help="Of each measurement but `soak`, in place of the rules. `periodic` warms up for a tenth "
    "of them, a minute at most.",
)
@click.option(
    "--soak-minutes",
    type=Finite(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Of `soak`.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the order of queries.",
)
@click.pass_context
def bench(ctx: click.Context, **options: Any) -> None:
    """Measure a bundle on this machine: latency, accuracy, memory and energy, in one record.

    Scenarios as in MLPerf, each with the window encoded anew (cold), at hand (warm) or mostly at
    hand (mixed). At least 1024 queries and 60 s of each, or 120 s, unless --quick.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return
    if options["redo"] and not options["peers"]:
        raise UsageError(
            "--redo says which peer to measure again, but no peers are asked for",
            expected="--peers beside it",
            found=f"--redo {' --redo '.join(options['redo'])}",
            do="add --peers, or leave --redo out",
        )
    # Before anything loads numpy, as in a live run: its threads would compete with the frame path.
    import_numpy_on_one_thread()
    measuring = importlib.import_module("benchmarks.measure_command")
    measuring.measure_command(**options)


def _refuse_options(ctx: click.Context) -> None:
    """Options of the measurement before a subcommand would be passed over in silence."""
    given = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if ctx.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(
            f"{given[0]} belongs to a measurement, not to {ctx.invoked_subcommand}",
            expected=f"tilefix bench {ctx.invoked_subcommand} with options of its own",
            found=", ".join(given),
            do=f"write options behind the word {ctx.invoked_subcommand}; "
            f"tilefix bench {ctx.invoked_subcommand} --help lists them",
        )
