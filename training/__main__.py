"""`torchrun --nproc-per-node N -m training RECIPE --data ROOT --out RUN`: training on N GPUs.

The same as `tilefix train`; the batch of a recipe is shared out over the processes.
"""

from __future__ import annotations

import sys

from edge.errors import TilefixError
from training.trainer.command import train

if __name__ == "__main__":
    try:
        train()
    except TilefixError as error:
        print(f"tilefix: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
