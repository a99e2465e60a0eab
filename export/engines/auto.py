"""Builds every precision that a bundle has, and keeps one of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from edge.bundle import Bundle
from edge.precisions import TENSORRT_FORM
from export.engines.build import BuildSettings, BuiltEngine, build_engine, check_graphs, renewed
from export.engines.choice import Candidate, Choice, choose, measure
from export.engines.graph_facts import read_graph
from export.engines.measuring import Measurer

BUILDABLE = ("fp32", "fp16", TENSORRT_FORM)  # in the order in which they are built
NOTE = "auto: "


@dataclass(frozen=True, slots=True)
class AutoBuild:
    """What `auto` left on disk."""

    choice: Choice
    kept: tuple[BuiltEngine, ...]
    stayed: tuple[BuiltEngine, ...]  # those of other precisions
    removed: tuple[str, ...]  # precisions whose new engines are gone again


def build_auto(
    bundle: Bundle,
    kinds: tuple[str, ...],
    settings: BuildSettings,
    measurer: Measurer | str,
    progress: Callable[[str], None] = lambda line: None,
) -> AutoBuild:
    """Build each precision of a bundle, measure it, and keep the fastest that passes.

    Without a plugin, precisions that need one are no candidates, and the choice says so: fp32 flies
    without. Engines that this call built and that lose are removed. Where nothing can be measured
    all stay.

    Args:
        bundle: the model.
        kinds: graphs to build.
        settings: as for `build_engine`.
        measurer: measures on this device; a text says why nothing can be measured.
        progress: takes lines for people.

    Raises:
        ExecutorError: a build fails, or no precision passes.
        OutputError: the engines' folder cannot be written.
    """
    known = [name for name in BUILDABLE if name in bundle.precisions]
    lacking = [name for name in known if _lacks_plugin(bundle, kinds, name, settings)]
    unbuilt = [Candidate(name, faults=("not built: it needs --plugin",)) for name in lacking]
    precisions = [name for name in known if name not in lacking]
    for name in precisions or known:  # with none left, what is missing is the error
        check_graphs(bundle, kinds, name, settings)
    built = {
        name: [build_engine(bundle, kind, name, settings, progress) for kind in kinds]
        for name in precisions
    }
    if isinstance(measurer, str):
        unmeasured = [Candidate(name) for name in precisions]
        choice = choose([*unmeasured, *unbuilt], cannot_measure=measurer)
    else:
        found = []
        for name in precisions:
            progress(f"measuring {name}")
            found.append(measure(name, measurer))
        choice = choose([*found, *unbuilt])
    kept = tuple(_noted(bundle, engine, choice) for engine in built[choice.precision])
    others = [each for name in precisions if name != choice.precision for each in built[name]]
    losers = [each for each in others if each.new and choice.measured]
    for each in losers:
        shutil.rmtree(each.folder)
    stayed = tuple(each for each in others if each not in losers)
    removed = dict.fromkeys(each.manifest.key.precision for each in losers)
    return AutoBuild(choice, kept, stayed, tuple(removed))


def _lacks_plugin(
    bundle: Bundle, kinds: tuple[str, ...], precision: str, settings: BuildSettings
) -> bool:
    """Whether a graph of that precision has custom nodes and no plugin was given for them."""
    if settings.plugin is not None:
        return False
    paths = [bundle.graph(kind, precision).resolve() for kind in kinds]
    return any(read_graph(path)[1].custom_nodes for path in paths)


def _noted(bundle: Bundle, engine: BuiltEngine, choice: Choice) -> BuiltEngine:
    """Write the decision into an engine's manifest, in place of an earlier one."""
    notes = [note for note in engine.manifest.notes if not note.startswith(NOTE)]
    notes += [NOTE + line for line in choice.lines]
    return renewed(bundle, engine, msgspec.structs.replace(engine.manifest, notes=tuple(notes)))
