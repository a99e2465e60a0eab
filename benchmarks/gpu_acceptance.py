"""The command `python -m benchmarks.gpu_acceptance --out DIR`; see `benchmarks.gpu.acceptance`."""

from __future__ import annotations

import sys

from benchmarks.gpu.acceptance import main

if __name__ == "__main__":
    sys.exit(main())
