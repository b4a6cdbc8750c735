"""Options of commands that read a corpus: how its sources are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from rise_store.corpus.dispatch import FORMATS

Command = TypeVar("Command", bound=Callable[..., Any])


def source_options(command: Command) -> Command:
    """How sources are read, as the keys of `SourceOptions`."""
    for option in (
        click.option(
            "--input-format",
            "format",
            type=click.Choice(FORMATS),
            help="Format of all files.  [default: told by their names]",
        ),
        click.option(
            "--encoding",
            metavar="NAME",
            help="Encoding of text, CSV and JSON Lines, such as latin-1.  [default: UTF-8, or its byte order mark]",
        ),
    ):
        command = option(command)
    return command
