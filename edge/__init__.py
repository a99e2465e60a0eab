"""The on-board half of tilefix: numpy, OpenCV and one executor. Never imports torch."""

__version__ = "0.1.0"
