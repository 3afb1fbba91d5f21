"""Neural collapse under mixup: the science, usable from a notebook."""

__version__ = "0.1.0"
