"""One file for each way to run a graph; all answer the same contract."""
