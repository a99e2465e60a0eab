"""Features in INT8 at an executor: which inputs they may be, and their float16 on the host.

A feature comes as float16, or as a store of `--features int8` holds it: levels int8 [C, H, W] and
`NAME.scale` float16 [C] beside them. It is turned into float16 where the executor computes: on the
GPU by a kernel (`edge.executors.dequantiser`), on the CPU here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from edge.feature_quantization import SCALE, dequantized
from edge.types import Array

KEPT_WINDOWS = 4  # whose float16 stays in memory: 6 MB each for the shipped bundle


def merged(bound: Mapping[str, Array], given: Mapping[str, Array]) -> dict[str, Array]:
    """What a run takes: `given` in place of `bound`; a feature with its own scale, or with none."""
    feed = {**bound, **given}
    for name in given:
        scale = name + SCALE
        if scale in feed and scale not in given:  # of the levels that were bound
            del feed[scale]
    return feed


class FloatFeatures:
    """Float16 of the features of the last few windows, made once for each.

    A window is known again by its arrays, which are held and must not be written to.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[int, ...], tuple[list[Array], dict[str, Array]]]
        self._made = OrderedDict()

    def of(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """The same tensors, C-contiguous, with those in float16 that are int8 and have a scale."""
        pairs = {
            each: tensors[each]
            for name in tensors
            if name + SCALE in tensors
            for each in (name, name + SCALE)
        }
        floats = self._floats(pairs) if pairs else {}
        plain = {
            name: np.ascontiguousarray(value)
            for name, value in tensors.items()
            if name not in pairs
        }
        return {**plain, **floats}

    def _floats(self, pairs: Mapping[str, Array]) -> dict[str, Array]:
        key = tuple(map(id, pairs.values()))
        if key in self._made:
            self._made.move_to_end(key)
        else:
            # The arrays are kept too: as long as they live, no other has their identity.
            self._made[key] = list(pairs.values()), dequantized(pairs)
            if len(self._made) > KEPT_WINDOWS:
                self._made.popitem(last=False)
        return self._made[key][1]
