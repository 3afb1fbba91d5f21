"""Measurements of speed: each module is a command that prints a table and writes build/bench/NAME.json.

They need the working tree on PYTHONPATH, what `ncmix.train` imports (torch, numpy, pillow, pyyaml, pydantic),
torchvision for the plain loop they compare with, and rich for the tables' looks only. For a machine with a GPU but
without a package index `make bench-packages` puts pydantic and what it needs into build/bench-packages, to be put on
PYTHONPATH too.
"""
