"""What models are trained to: the terms of the published models by name, and lite's own."""
