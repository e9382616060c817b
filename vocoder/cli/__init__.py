"""The command line."""

from vocoder.cli.app import main

__all__ = ["main"]
