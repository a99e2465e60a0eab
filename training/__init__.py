"""Models, data sets, losses, metrics and the trainer."""
