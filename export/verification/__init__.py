"""Compares a bundle's runs with each other: `tilefix verify`."""
