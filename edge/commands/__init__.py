"""The verbs of the `tilefix` command, one file each, loaded when called."""
