"""Q/DQ nodes in ONNX graphs: which convolutions get them, with which scales, in two forms."""
