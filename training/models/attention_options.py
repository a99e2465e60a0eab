"""Options of the models that hold AttenGeo's two modules (arXiv 2510.27139)."""

from __future__ import annotations

from dataclasses import dataclass

from training.models.bounds import check_momentum, check_positive
from training.models.choice import chosen
from training.models.click_maps import ClickMapOptions
from training.models.conv_block import PUBLISHED_BN_MOMENTUM
from training.models.cvcam import (
    Activation,
    Attention,
    CvcamOptions,
    NormOrder,
    Reads,
    Scaling,
)
from training.models.sine_positions import SineLayout


@dataclass(frozen=True, slots=True)
class AttentionOptions(ClickMapOptions):
    """Which of CVCAM and MHSAM a model has, and what shapes them.

    The default sizes reproduce the published cost. Choices marked unpublished decide no cost; their
    defaults are those of TransT, whose fusion network CVCAM resembles. `scaling` is where the paper
    contradicts itself: equation 1 divides the products by sqrt(d), equation 4 does not.

    Raises:
        ValueError: see `ClickMapOptions`, or a number that shapes nothing.
    """

    cvcam: bool = True
    mhsam: bool = True
    width: int = 256  # channels of both views inside CVCAM, and of its output
    ffn: int = 1024
    iterations: int = 4
    heads: int = 8  # unpublished
    attention: str = Attention.MHA.value
    reads: str = Reads.PARALLEL.value  # unpublished
    norm: str = NormOrder.POST.value  # unpublished
    activation: str = Activation.RELU.value  # unpublished
    dropout: float = 0.1  # unpublished
    positions: str = SineLayout.INTERLEAVED.value  # the paper's formula; DETR's is `halves`
    first_index: int = 0  # of the positions; unpublished
    scaling: str = Scaling.SQRT_D.value  # equation 1; `none` is equation 4
    mhsam_hidden: int = 512
    bn_momentum: float = PUBLISHED_BN_MOMENTUM  # of the CBL blocks: DetGeo's; unpublished here

    def __post_init__(self) -> None:
        ClickMapOptions.__post_init__(self)
        check_positive(self, "width", "mhsam_hidden")
        check_momentum(self.bn_momentum)

    def cvcam_options(self) -> CvcamOptions:
        """The part that CVCAM takes.

        Raises:
            ValueError: an unknown choice (names the nearest), or see `CvcamOptions`.
        """
        return CvcamOptions(
            width=self.width,
            ffn=self.ffn,
            iterations=self.iterations,
            heads=self.heads,
            attention=chosen("attention", Attention, self.attention),
            reads=chosen("reads", Reads, self.reads),
            norm=chosen("norm", NormOrder, self.norm),
            activation=chosen("activation", Activation, self.activation),
            dropout=self.dropout,
            positions=chosen("positions", SineLayout, self.positions),
            first_index=self.first_index,
            scaling=chosen("scaling", Scaling, self.scaling),
        )
