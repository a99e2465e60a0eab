"""What a benchmark leaves: lines of JSON, their environment, and how two of them compare."""
