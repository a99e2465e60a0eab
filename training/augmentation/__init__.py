"""How samples are changed before training."""
