"""Custom kernels: each beside its numpy meaning, its torch operator and its ONNX function body."""
