"""The loop that trains every model, what it is made of, and `tilefix train`."""
