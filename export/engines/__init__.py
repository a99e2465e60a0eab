"""From the graphs of a bundle to TensorRT engines, each proved by its layer table."""
