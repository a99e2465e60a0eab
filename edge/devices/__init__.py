"""The GPU below an executor: memory, copies, streams and graphs, through one small interface."""
