"""`lite` with the fake quantisation that its INT8 graphs for TensorRT have.

The convolutions that `calibration.quantization.policy` allows read and hold INT8. A residual that
such a convolution reads joins its addition quantised, once, as in the graph; whatever else reads it
(a neck) gets the float. Heads, similarity and the gather of clicks stay float.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from calibration.quantization.policy import FEWEST_WEIGHTS
from edge.bundle import ENCODER, LOCALIZER
from edge.errors import CalibrationError, UsageError
from training.models.efficientnet_lite import InvertedResidual
from training.models.folded_norms import fold_batch_norms, hold_folded_norms
from training.models.lite import Lite
from training.models.necks import DepthwiseResidual
from training.quantization.convolution import FakeQuantConv, View

Amax = Mapping[str, Mapping[str, float]]  # kind of graph -> range of the input by convolution
BACKBONE = "efficientnet_lite0"  # whose residuals are known here


class QuantizedLite(Lite):
    """A copy of a `lite`, folded, that computes as its INT8 graphs do once it has ranges.

    Its state dict is that of a plain `lite`, and answers in float as one.

    Args:
        model: stays as it is.

    Raises:
        UsageError: nothing in it would be quantised, or its backbone is another.
    """

    def __init__(self, model: Lite) -> None:
        super().__init__(model.options)
        if model.options.backbone != BACKBONE:
            raise _nothing(f"a lite on {BACKBONE}", f"one on {model.options.backbone}")
        self.load_state_dict(model.state_dict())
        fold_batch_norms(self)
        self.view = View()
        names = [name for name, module in self.named_modules() if _eligible(module)]
        if not names:
            expected = f"a convolution of at least {FEWEST_WEIGHTS} weights that are not all zero"
            raise _nothing(expected, "none")
        for name in names:
            parent, _, last = name.rpartition(".")
            made = FakeQuantConv(self.get_submodule(name), self.view)  # type: ignore[arg-type]
            setattr(self.get_submodule(parent), last, made)
        for module in self.modules():
            if _first_of_residual(module) is not None:
                module.register_forward_pre_hook(_quantize_residual)
        self.eval()

    @property
    def quantized(self) -> dict[str, FakeQuantConv]:
        """The convolutions that the policy allows, by their names in this model."""
        return {n: m for n, m in self.named_modules() if isinstance(m, FakeQuantConv)}

    @property
    def amax(self) -> dict[str, dict[str, float]]:
        """The ranges in use: kind of graph -> largest input by the name of a convolution."""
        return {
            kind: {n: m.range.amax[kind] for n, m in self.quantized.items() if kind in m.range.amax}
            for kind in (ENCODER, LOCALIZER)
        }

    def set_amax(self, amax: Amax) -> None:
        """Quantise with these ranges; what has none in a graph stays float there.

        Raises:
            CalibrationError: a convolution that there is none of, or a range that is no scale.
        """
        known = self.quantized
        for convolution in known.values():
            convolution.range.amax.clear()
            convolution.range.scale.clear()
        for kind, ranges in amax.items():
            for name, value in ranges.items():
                if name not in known:
                    raise _odd_range(kind, name, value)
                try:
                    known[name].range.set(kind, value)
                except OverflowError as error:
                    raise _odd_range(kind, name, value) from error

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        """See `Lite.encode_reference`."""
        with self.view.of(ENCODER):
            return super().encode_reference(image)

    def encode_query(self, frame: Tensor) -> Tensor:
        """See `Lite.encode_query`."""
        with self.view.of(LOCALIZER):
            return super().encode_query(frame)

    def train(self, mode: bool = True) -> QuantizedLite:
        """Training mode for all but the folded batch norms."""
        super().train(mode)
        hold_folded_norms(self)
        return self

    def plain(self) -> Lite:
        """The float model with these weights, in eval mode."""
        model = Lite(self.options)
        model.load_state_dict(self.state_dict())
        return model.eval()


def _eligible(module: nn.Module) -> bool:
    """The policy; that a `lite` has no convolution after its views meet is tested."""
    if not isinstance(module, nn.Conv2d):
        return False
    return module.weight.numel() >= FEWEST_WEIGHTS and bool(module.weight.any())


def _first_of_residual(module: nn.Module) -> FakeQuantConv | None:
    """The convolution that reads the same value as a block's addition, if it is quantised."""
    first: Any = None
    if isinstance(module, InvertedResidual) and module.adds:
        first = module._expand_conv if module.expands else module._depthwise_conv
    elif isinstance(module, DepthwiseResidual):
        first = module.expand
    return first if isinstance(first, FakeQuantConv) else None


def _quantize_residual(block: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Before a block: quantise what its addition and its first convolution both read.

    The convolution quantises once more, which changes nothing: a level is its own nearest.
    """
    first = _first_of_residual(block)
    return inputs if first is None else (first.fake_input(inputs[0]),)


def _odd_range(kind: str, name: str, amax: float) -> CalibrationError:
    return CalibrationError(
        f"the range of what {name} reads cannot be used",
        expected="ranges of this model that float16 can hold as scales",
        found=f"{amax:g} in the {kind}",
        do="find the ranges of this very model, or leave --ranges out",
    )


def _nothing(expected: str, found: str) -> UsageError:
    return UsageError(
        "this model has nothing that could be trained for INT8",
        expected=expected,
        found=found,
        do="leave --qat out, or begin with another model",
    )
