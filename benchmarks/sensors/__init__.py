"""Power and heat, as far as a machine tells."""
