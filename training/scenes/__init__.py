"""Procedural towns in 3-D, rendered as a map and as drone views."""
