"""Both graphs of a bundle in INT8, in the form for each runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import onnx

from calibration.quantization.batch_norm import check_folded
from calibration.quantization.bias_correction import shift_biases
from calibration.quantization.blocks import Block, blocks_of
from calibration.quantization.convolutions import carried_over
from calibration.quantization.policy import Sorted, sort_convolutions, tensors_to_observe
from calibration.quantization.qdq import Form, quantize_graph
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.errors import CalibrationError, UsageError
from edge.types import Float32

KINDS = (ENCODER, LOCALIZER)
FLOAT_OF = {Form.ONNXRUNTIME: "fp32", Form.TENSORRT: "fp16"}


@dataclass(frozen=True)
class FloatGraphs:
    """The float graphs of a bundle, read once, and what the policy says of them.

    Args:
        bundle: with graphs in fp32, where ranges are found, and in fp16 for TensorRT's form.
        shifts: kind of graph -> convolution -> what is added to its bias when it is quantised, see
            `bias_correction`.
    """

    bundle: Bundle
    shifts: Mapping[str, Mapping[str, Float32]] = field(default_factory=dict)

    def model(self, kind: str, precision: str) -> onnx.ModelProto:
        """One graph; a copy is the caller's to make."""
        return self._models[kind, precision]

    @cached_property
    def _models(self) -> dict[tuple[str, str], onnx.ModelProto]:
        from export.shared_weights import whole_graph

        check_floats(self.bundle)
        return {
            (kind, precision): whole_graph(self.bundle.graph(kind, precision))
            for kind in KINDS
            for precision in sorted({*FLOAT_OF.values()} & {*self.bundle.precisions})
        }

    @property
    def parts_as_well(self) -> bool:
        """Whether the float localizer is there cut in parts, as INT8's shall be then."""
        return self.bundle.in_parts("fp32")

    @cached_property
    def sorted(self) -> dict[str, Sorted]:
        """The convolutions of each graph by the policy."""
        return {kind: sort_convolutions(self.model(kind, "fp32")) for kind in KINDS}

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of both graphs in their order, the encoder's first."""
        return tuple(b for k in KINDS for b in blocks_of(k, self.sorted[k].eligible))

    @property
    def observed(self) -> dict[str, tuple[str, ...]]:
        """The values whose ranges are needed, of each float32 graph that has any.

        Raises:
            CalibrationError: the policy lets no convolution of either graph run in INT8.
        """
        wanted = {kind: tensors_to_observe(self.sorted[kind].eligible) for kind in KINDS}
        found = {kind: tensors for kind, tensors in wanted.items() if tensors}
        if not found:
            refused = sum(len(self.sorted[kind].refused) for kind in KINDS)
            raise CalibrationError(
                f"nothing of the bundle {self.bundle.manifest.name} can run in INT8",
                expected="convolutions with constant weights before the two views meet",
                found=f"none; {refused} others, which stay float16 by policy",
                do="fly it in fp16",
            )
        return found

    def chosen(self, kind: str, left_float: Collection[str]) -> frozenset[str]:
        """Names of the convolutions of one graph that are quantised.

        Args:
            kind: of the graph.
            left_float: names of blocks that are not.

        Raises:
            UsageError: no block has that name.
        """
        known = {block.name for block in self.blocks}
        for name in left_float:
            if name not in known:
                raise UsageError(
                    f"the bundle {self.bundle.manifest.name} has no block {name}",
                    expected=f"some of: {', '.join(sorted(known))}",
                    found=name,
                    do="name blocks as the report of a calibration does",
                )
        return frozenset(
            name
            for block in self.blocks
            if block.graph == kind and block.name not in left_float
            for name in block.convolutions
        )


def check_floats(bundle: Bundle) -> None:
    """Refuse a bundle that cannot be calibrated: no float32, INT8 already, unfolded batch norm.

    Raises:
        CalibrationError: see above.
    """
    quantised = [form.value for form in Form if form.value in bundle.precisions]
    if quantised or "fp32" not in bundle.precisions:
        raise CalibrationError(
            f"the bundle {bundle.manifest.name} {bundle.manifest.version} cannot be calibrated",
            expected="a bundle with graphs in fp32, and none in INT8 yet",
            found=f"graphs in {', '.join(bundle.precisions) or 'no precision'}",
            do="calibrate the bundle that this one was made from"
            if quantised
            else "export it with --precision fp32",
        )
    for kind in KINDS:
        for precision in sorted({*FLOAT_OF.values()} & {*bundle.precisions}):
            model = onnx.load(str(bundle.graph(kind, precision)), load_external_data=False)
            check_folded(model, f"graphs/{precision}/{kind}.onnx of the bundle")


def int8_graphs(
    graphs: FloatGraphs,
    amax: Mapping[str, Mapping[str, float]],
    left_float: Collection[str] = (),
    forms: Collection[Form] = tuple(Form),
    emulate_half: bool = True,
) -> dict[str, onnx.ModelProto]:
    """The INT8 graphs of a bundle by their names in it, "graphs/int8+fp32/localizer.onnx".

    Args:
        graphs: of the bundle.
        amax: kind of graph -> range by the names of its float32 graph.
        left_float: names of blocks that are not quantised.
        forms: for whom.
        emulate_half: False: TensorRT's form is made of the float32 graph, so that all but the Q/DQ
            runs in float32; several times faster on a CPU, and near what float16 gives.

    Raises:
        CalibrationError: see `quantize_graph`; or no fp16 graphs, which TensorRT's form is made of.
        UsageError: a block that there is none of.
    """
    made = {}
    for form in forms:
        precision = FLOAT_OF[form] if emulate_half else "fp32"
        if precision not in graphs.bundle.precisions:
            raise CalibrationError(
                f"{form.value} is made of graphs in {precision}, which the bundle lacks",
                expected=f"graphs/{precision} in {graphs.bundle.path}",
                found=f"graphs in {', '.join(graphs.bundle.precisions)}",
                do=f"tilefix export --from-bundle {graphs.bundle.path} --precision {precision}",
            )
        for kind in KINDS:
            model, observed = graphs.model(kind, precision), graphs.model(kind, "fp32")
            ranges = (
                amax[kind] if precision == "fp32" else carried_over(amax[kind], observed, model)
            )
            chosen = graphs.chosen(kind, left_float)
            shifts = graphs.shifts.get(kind, {})
            model = shift_biases(model, {name: shifts[name] for name in chosen if name in shifts})
            made[f"graphs/{form.value}/{kind}.onnx"] = quantize_graph(model, ranges, chosen, form)
    return made
