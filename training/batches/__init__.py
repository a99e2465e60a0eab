"""From samples to tensors: batches of lite, and of the published models."""
