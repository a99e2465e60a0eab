"""What INT8 costs and gives, measured: scores, sensitivity by block, mixed search, verdict."""
