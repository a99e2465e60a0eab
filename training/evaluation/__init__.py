"""What a model answers to a split, its scores, and the papers' rows beside them."""
