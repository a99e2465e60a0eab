"""Every error that tilefix raises on purpose, each with the same four parts.

A reader beside a runway needs four things: what happened, what was expected, what was found,
and what to do. `TilefixError` takes exactly these, and prints them one per line. One subclass
per cause; each carries the exit code that the command line ends with.
"""

from __future__ import annotations


class TilefixError(Exception):
    """Base of all errors of tilefix.

    Args:
        what: what happened, in one clause.
        expected: what would have been right.
        found: what was there instead.
        do: the next step for the reader, a command where there is one.
    """

    exit_code = 1

    def __init__(self, what: str, *, expected: str, found: str, do: str) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        self.do = do
        super().__init__(f"{what}\n  expected: {expected}\n  found:    {found}\n  do:       {do}")


class UsageError(TilefixError):
    """An option or argument that cannot mean anything."""

    exit_code = 2


class ConfigError(TilefixError):
    """A configuration file that does not fit its schema."""

    exit_code = 2


class MissingLibraryError(TilefixError):
    """An optional library that this verb needs is not installed."""

    exit_code = 3


class MapError(TilefixError):
    """A tile map that is missing, corrupt or truncated."""

    exit_code = 4


class GeoreferenceError(TilefixError):
    """A map without a usable georeference, or in an unsupported coordinate system."""

    exit_code = 4


class WindowError(TilefixError):
    """A reference window that lies outside the map, or has too little imagery in it."""

    exit_code = 4


class SourceError(TilefixError):
    """A camera, video or picture that cannot be read."""

    exit_code = 5


class ClickError(TilefixError):
    """Clicks that are not numbers, lie outside the frame, or a click file that cannot be read."""

    exit_code = 6


class BundleError(TilefixError):
    """A model bundle that is incomplete, altered, or of another schema."""

    exit_code = 7


class FeatureStoreError(TilefixError):
    """A feature store that is corrupt, or was made by another model or from another map."""

    exit_code = 8


class ExecutorError(TilefixError):
    """An executor that is not available, or that refused a graph or its inputs."""

    exit_code = 9


class PairsError(TilefixError):
    """A pairs file that breaks its format."""

    exit_code = 10


class CheckpointError(TilefixError):
    """A training checkpoint that does not fit the model or the run."""

    exit_code = 11


class DataError(TilefixError):
    """Training data that are missing or break their format."""

    exit_code = 12


class TelemetryError(TilefixError):
    """A telemetry file that cannot be read, or that says what cannot be."""

    exit_code = 13


class OutputError(TilefixError):
    """A result that cannot be written: no space, no permission, no encoder."""

    exit_code = 14


class TrainingError(TilefixError):
    """A training run that cannot go on: its loss is no longer a number."""

    exit_code = 11


class CalibrationError(TilefixError):
    """Frames that are too few or show nothing, ranges of another model, or a judge's refusal."""

    exit_code = 15


class BenchmarkError(TilefixError):
    """A benchmark that cannot go on, or records of it that cannot be read or compared."""

    exit_code = 16
