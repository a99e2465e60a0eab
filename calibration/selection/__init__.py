"""Picks the frames and windows that ranges are taken from: by coverage, not by luck."""
