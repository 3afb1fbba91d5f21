"""The `ncmix` command."""

from ncmix.cli.main import main

__all__ = ["main"]
