"""Fine-tuning with fake quantisation: the model learns with the INT8 that calibration gives it."""
