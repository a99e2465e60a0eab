"""Other ways to the same answer, measured in the same run."""
