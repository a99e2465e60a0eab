"""Names of precisions: those of a bundle's folders, and the one short name for INT8.

INT8 comes in two forms: Q/DQ in a float32 graph as ONNX Runtime fuses it, and in a float16 graph as
TensorRT does. `int8` means the one that the executor wants.
"""

from __future__ import annotations

INT8 = "int8"
INT8_FORMS = {"onnxruntime": "int8+fp32", "reference": "int8+fp32"}
TENSORRT_FORM = "int8+fp16"


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
