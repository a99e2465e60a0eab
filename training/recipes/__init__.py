"""Recipes, one TOML file per experiment: what they can say, and how they are read and checked."""
