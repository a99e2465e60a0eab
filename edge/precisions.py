"""Names of precisions: those of a bundle's folders, and the one short name for INT8.

INT8 comes in two forms: Q/DQ in a float32 graph as ONNX Runtime fuses it, and in a float16 graph as
TensorRT does. `int8` means the one that the executor wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INT8 = "int8"
INT8_FORMS = {"onnxruntime": "int8+fp32", "reference": "int8+fp32"}
TENSORRT_FORM = "int8+fp16"
JUDGED = "int8"  # key of a manifest's scores: what `tilefix calibrate` found
RUN_FLOAT32 = "run fp32"  # its word on ONNX Runtime's form where that breaks the budget


def graph_precision(precision: str, executor: str) -> str:
    """The folder of a bundle that `precision` means for an executor.

    >>> graph_precision("int8", "tensorrt"), graph_precision("int8", "onnxruntime")
    ('int8+fp16', 'int8+fp32')
    >>> graph_precision("fp16", "onnxruntime")
    'fp16'
    """
    return INT8_FORMS.get(executor, TENSORRT_FORM) if precision == INT8 else precision


def short_name(precision: str) -> str:
    """The name that commands take for a folder of a bundle.

    >>> short_name("int8+fp16"), short_name("fp16")
    ('int8', 'fp16')
    """
    return INT8 if precision in (*INT8_FORMS.values(), TENSORRT_FORM) else precision


def judged_form_note(scores: Mapping[str, Any], precision: str) -> str | None:
    """What a bundle's own judgement says against graphs of ONNX Runtime's INT8 form; None: nothing.

    Args:
        scores: of its manifest.
        precision: a folder of the bundle.
    """
    judged = scores.get(JUDGED)
    if precision not in INT8_FORMS.values() or not isinstance(judged, Mapping):
        return None
    if judged.get("onnxruntime") != RUN_FLOAT32:
        return None
    return (
        "this bundle's judgement says to run fp32 in ONNX Runtime: INT8 in the form for it does "
        f"not hold the budget, {judged.get('budget_points', 1):g} points (calibration/report.html)"
    )
