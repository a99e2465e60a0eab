"""Weights in files: those of tilefix, and those of others that become a model."""
