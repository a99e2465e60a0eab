"""Options of several commands, and checks of values that click itself lets through."""

from __future__ import annotations

from typing import Any

import click

from edge.errors import UsageError

# Far more than any board has cores; libraries count them in 32 bits.
THREADS = click.IntRange(1, 1024)


class FilledCommand(click.Command):
    """A command that refuses options without a value.

    An empty path is the working directory, an empty position none: a variable of the shell that
    was never set would be passed over in silence.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Check the values, then run the command.

        Raises:
            UsageError: a value is empty.
        """
        for parameter in self.params:
            value = ctx.params.get(parameter.name or "")
            if isinstance(value, str) and not value.strip():
                raise UsageError(
                    f"{parameter.opts[0]} is empty",
                    expected=f"{parameter.opts[0]} with a value, or without it the default",
                    found=repr(value),
                    do="check the variable that the value comes from",
                )
        return super().invoke(ctx)
