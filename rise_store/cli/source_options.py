"""Options of commands that read a corpus: how its sources are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def source_options(command: Command) -> Command:
    """How sources are read, as the keys of `SourceOptions`."""
    for option in (
        click.option(
            "--input-format",
            "format",
            type=click.Choice(["jsonl"]),
            help="Format of the sources.  [default: told by their names]",
        ),
    ):
        command = option(command)
    return command
