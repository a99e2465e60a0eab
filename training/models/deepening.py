"""A trained `lite` with more blocks in its necks, which answers as before until it is trained.

Chen, Goodfellow, Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer" (ICLR 2016),
section 2.3 (Net2DeeperNet): a deeper network starts from what a shallower one knows, its new layers
as identities. A residual block whose last batch norm has the factor zero is one already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from training.models.lite import Lite

DEPTHS = ("reference_depth", "query_depth")


def deepened(model: Lite, depths: Mapping[str, int]) -> Lite:
    """A deeper copy, in eval mode.

    Args:
        model: stays as it is.
        depths: options of `DEPTHS` -> blocks in all.

    Raises:
        ValueError: another option, or fewer blocks than there are.
    """
    for name, depth in depths.items():
        if name not in DEPTHS:
            raise ValueError(f"{name} cannot grow; {' and '.join(DEPTHS)} can")
        if not isinstance(depth, int):
            raise ValueError(f"{name} is a number of blocks, not {depth!r}")
        if depth < getattr(model.options, name):
            raise ValueError(f"{name} is {getattr(model.options, name)} already, not {depth}")
    made = Lite(dataclasses.replace(model.options, **depths))
    made.load_state_dict({**made.state_dict(), **model.state_dict()})
    return made.eval()
