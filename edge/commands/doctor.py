"""`tilefix doctor`: what this machine has, and what is missing."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Check this machine and say what is missing.

    Exit code 0: tilefix runs here. 1: something that it needs is missing or broken.
    """
    import json
    from dataclasses import asdict
    from pathlib import Path

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from edge.checkup import examine
    from edge.checkups.finding import State

    findings = examine(Path.cwd())
    failed = [finding for finding in findings if finding.state is State.FAILED]
    if as_json:
        checks = [{**asdict(each), "state": each.state.value} for each in findings]
        click.echo(json.dumps({"ok": not failed, "checks": checks}, indent=1))
    else:
        console = Console(highlight=False)
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("", "check", "found", "advice"):
            table.add_column(name, overflow="fold")
        marks = {
            State.OK: "[green]ok[/]",
            State.NOTE: "[yellow]note[/]",
            State.FAILED: "[bold red]FAILED[/]",
        }
        for each in findings:
            table.add_row(marks[each.state], each.name, each.found, each.advice)
        console.print(table)
        # outside the table, where no line is broken and each can be copied
        for each in findings:
            if each.commands:
                console.print(f"[bold]{each.name}[/]")
            for command in each.commands:
                console.print(f"    {command}", markup=False, soft_wrap=True)
        words = f"{len(failed)} of {len(findings)} checks failed" if failed else "tilefix runs here"
        console.print(f"[bold]{words}[/]")
    if failed:
        sys.exit(1)
