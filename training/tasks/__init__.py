"""A model with its samples, loss and validation: what the trainer trains."""
