"""What a graph needs at least, and what machines can do at most."""
