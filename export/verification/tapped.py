"""A temporary copy of a bundle whose graphs also put out their taps.

A tap is an interior tensor whose name begins with "tap.": about a dozen a graph, the same in every
precision. The copy is a bundle like any other, so every executor opens it as it opens all bundles.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge.bundle import ENCODER, LOCALIZER, Bundle, write_bundle
from edge.errors import BundleError

if TYPE_CHECKING:
    import onnx

TAP = "tap."
QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
GRAPHS = (ENCODER, LOCALIZER)


def tap_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """The taps of a graph in its order, without the eight bits that Q/DQ makes of some."""
    return tuple(
        output
        for node in model.graph.node
        for output in node.output
        if output.startswith(TAP) and node.op_type not in QUANTISERS
    )


def with_taps(model: onnx.ModelProto) -> tuple[str, ...]:
    """Make every tap of a graph an output of it, behind those that it has; returns their names."""
    import onnx

    names = tap_names(model)
    there = {output.name for output in model.graph.output}
    missing = [name for name in names if name not in there]
    if missing:
        inferred = onnx.shape_inference.infer_shapes(model)
        infos = {info.name: info for info in inferred.graph.value_info}
        for name in missing:
            info = infos.get(name)
            if info is None:
                raise BundleError(
                    f"the type of {name} is not known",
                    expected="a graph whose tensors have types that follow from its inputs",
                    found="shape inference says nothing of it",
                    do="export the bundle again with this version of tilefix",
                )
            model.graph.output.append(info)
    return names


def tapped_bundle(bundle: Bundle, precisions: tuple[str, ...], folder: Path) -> Bundle:
    """Write the copy into `folder`, with the graphs of these precisions (and those of fp32).

    Raises:
        BundleError: a graph pair without any tap: it was exported before there were taps.
        MissingLibraryError: `tomli_w` (extra `export`) is not installed.
        ModuleNotFoundError: so for `onnx`.
    """
    from export.shared_weights import whole_graph

    files: dict[str, bytes | Path] = {}
    for precision in dict.fromkeys(("fp32", *precisions)):
        found = 0
        for kind in GRAPHS:
            path = bundle.graph(kind, precision)
            model = whole_graph(path)
            found += len(with_taps(model))
            files[f"graphs/{precision}/{kind}.onnx"] = model.SerializeToString()
        if not found:
            raise BundleError(
                f"the graphs of the bundle {bundle.manifest.name} in {precision} have no taps",
                expected=f"interior tensors named {TAP}...",
                found="none: it was exported before there were any",
                do="export it again with `tilefix export`, or verify without --taps",
            )
        head = f"graphs/{precision}/head.npz"
        if head in bundle.manifest.files:
            files[head] = bundle.file(head)
    # Engines of the copy are of its graphs, and must not lie among those of the bundle itself.
    manifest = msgspec.structs.replace(bundle.manifest, name=f"{bundle.manifest.name}-taps")
    return write_bundle(folder, manifest, files)
