"""Checkpoint to typed ONNX graphs, bundles and engines."""
