"""Whether the engine is what its graph promised: plugin, types, no stray float32.

1. Plugin layers = custom nodes, in every optimisation profile. Without a creator the parser inlines
   a node's function body in silence; that is a failure here.
2. Convolutions of the graph: at least 95 % of a precision's own type (fp32 Float, fp16 Half; of
   int8+fp16, whose sensitive ones stay Half, at least one is Int8).
3. Convolutions of the engine: at least 95 % in the type that the graph gives each, in every
   profile, and as many of those that are Int8 in the graph. Up to 5 % whose type cannot be read are
   a note.
4. Islands: where the graph gives a convolution or a matrix product another type than float32, no
   layer does its work that reads and writes float32 alone. What shall stay float32 (normalisation,
   min-max, sums of softmax, geometry, decoding) is a policy, `export.precision`, and the graph
   carries it. A layer that only scales and shifts what a convolution in INT8 made is none: sums of
   int8 products are wider than float16.
"""

from __future__ import annotations

from collections import Counter

from edge.engine_manifest import LayerSummary
from edge.errors import ExecutorError
from edge.precisions import TENSORRT_FORM
from export.engines.graph_facts import UNKNOWN, GraphFacts
from export.engines.layer_table import CONVOLUTIONS, NO_WORK, PLUGINS, PRODUCTS, Layer
from export.graph_types import HEAVY_SHARE as SHARE

FLOAT32 = "Float"
INT8 = "Int8"
TYPE_OF = {"fp32": FLOAT32, "fp16": "Half", TENSORRT_FORM: INT8}
FLOATS = ("Float", "Half", "BFloat16", "FP8", "Int8")
SHOWN = 5


def summarise(layers: tuple[Layer, ...], facts: GraphFacts, source: str) -> LayerSummary:
    """Count the layers of the first optimisation profile by what they are."""
    layers = tuple(each for each in layers if each.profile == 0)
    working = [each for each in layers if each.kind not in NO_WORK]
    return LayerSummary(
        layers=len(working),
        plugin_layers=sum(each.kind in PLUGINS for each in working),
        convolutions=_counts(engine_types(layers, facts.convolutions, facts.reads)),
        products=_counts(engine_types(layers, facts.products, facts.reads)),
        float32_layers=tuple(each.name for each in working if _all_float32(each)),
        source=source,
    )


def check_layers(
    layers: tuple[Layer, ...], facts: GraphFacts, precision: str, profiles: int, advice: str
) -> tuple[str, ...]:
    """Hold an engine to its graph's promises.

    Args:
        layers: the engine's table.
        facts: of the graph.
        precision: "fp32", "fp16", "int8+fp16".
        profiles: optimisation profiles that the table shows.
        advice: how to build the plugin and give it, for the error.

    Returns:
        What could not be read, for people.

    Raises:
        ExecutorError: one of the rules in this module's text is broken.
    """
    check_plugins(layers, facts, profiles, advice)
    check_graph(facts, precision)
    notes = []
    for profile in range(profiles):
        of_profile = tuple(each for each in layers if each.profile == profile)
        notes += _check_convolutions(of_profile, facts, precision, profile)
    _check_islands(layers, facts, precision)
    return tuple(notes)


def check_plugins(layers: tuple[Layer, ...], facts: GraphFacts, profiles: int, advice: str) -> None:
    """Rule 1.

    Raises:
        ExecutorError: a custom node has no plugin layer.
    """
    for profile in range(profiles):
        found = [each for each in layers if each.kind in PLUGINS and each.profile == profile]
        if len(found) == len(facts.custom_nodes):
            continue
        names = ", ".join(each.name for each in found) or "no plugin layer"
        raise ExecutorError(
            "the engine does not use the plugin: TensorRT put something else in its place",
            expected=f"{len(facts.custom_nodes)} plugin layers for {', '.join(facts.custom_nodes)}"
            f" in profile {profile}",
            found=f"{names}; without a creator the parser inlines a node's function body",
            do=advice,
        )


def check_graph(facts: GraphFacts, precision: str) -> None:
    """Rule 2.

    Raises:
        ExecutorError: the graph is not of the precision that its folder says.
    """
    wanted, counts = TYPE_OF[precision], Counter(facts.convolutions.values())
    total = counts.total()
    mixed = precision == TENSORRT_FORM
    enough = counts[wanted] >= (1 if mixed else SHARE * total)
    if enough:
        return
    raise ExecutorError(
        f"the graph {facts.path} is not {precision}",
        expected="convolutions that read DequantizeLinear, weights and all"
        if mixed
        else f"at least {SHARE:.0%} of its convolutions in {wanted}",
        found=f"of {total}: {_words(dict(counts))}",
        do="calibrate the bundle again: tilefix calibrate"
        if mixed
        else "export the bundle again with this version of tilefix",
    )


def engine_types(
    layers: tuple[Layer, ...], nodes: dict[str, str], reads: dict[str, str]
) -> dict[str, str]:
    """The type that each node of the graph runs in: that of the first operand of its layer.

    Args:
        layers: the engine's.
        nodes: whose types are wanted, as keys.
        reads: node -> the tensor that it reads; a 1x1 convolution that became a product may have
            lost its name, and is known by what it reads.
    """
    found: dict[str, str] = {}
    heavy = [layer for layer in layers if layer.kind in (*CONVOLUTIONS, *PRODUCTS)]
    for layer in (*heavy, *layers):  # one that convolves before one that only pads for it
        for node in (*layer.nodes, *layer.name.split(" + ")):
            if node in nodes:
                found.setdefault(node, _type_of(layer))
    nameless = {
        tensor.name: layer for layer in heavy if not layer.nodes for tensor in layer.inputs[:1]
    }
    for node in nodes:
        if node not in found and reads.get(node) in nameless:
            found[node] = _type_of(nameless[reads[node]])
    return {node: found.get(node, UNKNOWN) for node in nodes}


def _check_convolutions(
    layers: tuple[Layer, ...], facts: GraphFacts, precision: str, profile: int
) -> list[str]:
    """Rule 3 for one profile; a note for those whose type cannot be read."""
    promised = facts.convolutions
    found = engine_types(layers, promised, facts.reads)
    wrong = {node: kind for node, kind in found.items() if kind != promised[node]}
    unread = [node for node, kind in wrong.items() if kind == UNKNOWN]
    where = f" in profile {profile}" if profile else ""
    of_int8 = [node for node, kind in promised.items() if kind == INT8]
    if all(
        sum(node not in wrong for node in nodes) >= SHARE * len(nodes)
        for nodes in (promised, of_int8)
    ):
        if not unread:
            return []
        names = ", ".join(unread[:SHOWN])
        return [f"the types of {len(unread)} convolutions{where} are unknown: {names}"]
    shown = [f"{node} in {kind}" for node, kind in list(wrong.items())[:SHOWN]]
    known = len(unread) < len(wrong)
    what = "convolutions run in another type than the graph's"
    raise ExecutorError(
        f"the engine is not {precision}: {what}{where}"
        if known
        else f"it cannot be read whether the engine is {precision}{where}",
        expected=f"at least {SHARE:.0%} of {_words(_counts(promised))}",
        found=f"{_words(_counts(found))}; {', '.join(shown)}",
        do="report this with the version of TensorRT; the engine is not kept"
        if known
        else "run again with --logs FOLDER, which keeps the layer table, and report that table "
        "with the version of TensorRT",
    )


def _check_islands(layers: tuple[Layer, ...], facts: GraphFacts, precision: str) -> None:
    heavy = {**facts.convolutions, **facts.products}
    int8 = {node for node, kind in heavy.items() if kind == INT8}
    for profile in {each.profile for each in layers}:
        of_profile = tuple(each for each in layers if each.profile == profile)
        found = engine_types(of_profile, dict.fromkeys(int8, INT8), facts.reads)
        int8 &= {node for node, kind in found.items() if kind == INT8}
    islands = [
        f"{facts.operators[node]} {node} in layer {layer.name}, {heavy[node]} in the graph"
        for layer in layers
        if _all_float32(layer)
        for node in layer.nodes
        if heavy.get(node, FLOAT32) not in (FLOAT32, UNKNOWN)
        and (node not in int8 or layer.kind in (*CONVOLUTIONS, *PRODUCTS))
    ]
    if not islands:
        return
    raise ExecutorError(
        f"the {precision} engine computes in float32 where its graph does not",
        expected="float32 where the policy of the export keeps it, and nowhere else",
        found=f"{len(islands)}: {'; '.join(islands[:SHOWN])}",
        do="report this with the version of TensorRT; the engine is not kept",
    )


def _all_float32(layer: Layer) -> bool:
    types = {each.dtype for each in (*layer.inputs, *layer.outputs)} & set(FLOATS)
    return types == {FLOAT32} and layer.kind not in PLUGINS


def _type_of(layer: Layer) -> str:
    return next((each.dtype for each in layer.inputs if each.dtype in FLOATS), UNKNOWN)


def _counts(types: dict[str, str]) -> dict[str, int]:
    return dict(sorted(Counter(types.values()).items()))


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "none"
