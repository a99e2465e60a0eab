"""What makes two runs of one kind, and what the later one of two may go on with."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from benchmarks.record.lines import RunLine, Settings, Unknown

# Facts of a machine that numbers of two runs can only be compared with if they agree.
MACHINE = ("board", "cpu", "cores", "gpu", "power_mode", "governor")
# Its software: the same machine with another is worth a comparison, but not the same run.
SOFTWARE = ("kernel", "python", "libraries", "driver", "cuda", "tensorrt", "l4t")
HOW = ("executor", "threads", "device_backend", "cuda_graphs")  # of the bundle's facts
# All settings but the name of the pairs file, whose sha256 counts.
SETTINGS = tuple(name for name in Settings.__struct_fields__ if name != "pairs")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two runs differ."""

    field: str  # "power_mode", as `--allow` takes it
    first: str
    second: str


def kind_differences(first: RunLine, second: RunLine) -> list[Difference]:
    """What keeps two runs from being compared: another machine, executor or setting."""
    return [
        *_differences(first.environment, second.environment, MACHINE),
        *_differences(first.bundle, second.bundle, HOW),
        *_differences(first.settings, second.settings, SETTINGS),
    ]


def subject_differences(first: RunLine, second: RunLine) -> list[Difference]:
    """What is compared: bundle, precision, commit, and software that came with time."""
    bundle = ("name", "model_id", "precision", "frame_px", "files", "engines", "plugin_sha256")
    return [
        *_differences(first.bundle, second.bundle, bundle),
        *_differences(first, second, ("version", "commit")),
        *_differences(first.environment, second.environment, SOFTWARE),
    ]


def goes_on(earlier: RunLine, later: RunLine) -> bool:
    """Whether two calls make up one run: nothing differs that a number could depend on."""
    environments = earlier.environment, later.environment
    return (
        earlier.bundle == later.bundle
        and earlier.settings == later.settings
        and (earlier.version, earlier.commit) == (later.version, later.commit)
        and not _differences(*environments, (*MACHINE, *SOFTWARE))
    )


def _differences(
    first: msgspec.Struct, second: msgspec.Struct, fields: tuple[str, ...]
) -> list[Difference]:
    found = []
    for field in fields:
        one, other = getattr(first, field), getattr(second, field)
        if one == other or (isinstance(one, Unknown) and isinstance(other, Unknown)):
            continue
        if field in ("files", "engines", "libraries"):
            found += table_differences(f"{field}: ", dict(one), dict(other))
        else:
            found.append(Difference(field, _text(one), _text(other)))
    return found


def table_differences(
    field: str, first: dict[str, str], second: dict[str, str]
) -> list[Difference]:
    """The entries of two tables that differ, each named after `field`."""
    return [
        Difference(f"{field}{name}", _text(first.get(name)), _text(second.get(name)))
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Unknown):
        return f"unknown ({value.reason})"
    text = str(value)
    is_hash = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:12] if is_hash else text
