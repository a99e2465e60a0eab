"""INT8 calibration: picks frames, finds ranges, writes Q/DQ, judges the result."""
