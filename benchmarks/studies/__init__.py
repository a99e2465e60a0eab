"""Questions that were answered once, each with its script and its record in `benchmarks/records`.

Run one by its name: `python -m benchmarks.studies.alignment`. A record names the command that made
it; those made before 2026-11-27 name the place where the scripts were then, `benchmarks` itself.
"""
