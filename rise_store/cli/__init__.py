"""The command line: one library call a verb, no logic of its own."""

from rise_store.cli.main import cli, main

__all__ = ["cli", "main"]
