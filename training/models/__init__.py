"""One file for each model, over shared blocks."""
