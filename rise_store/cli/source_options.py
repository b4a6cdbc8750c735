"""Options of commands that read a corpus: how its sources are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from rise_store.corpus import SourceOptions
from rise_store.corpus.dispatch import FORMATS

Command = TypeVar("Command", bound=Callable[..., Any])


def source_options(command: Command) -> Command:
    """How sources are read, as the keys of `SourceOptions`."""
    for option in (
        click.option(
            "--chat-template", metavar="FILE", help="Jinja template for chat rows.  [default: the one of the model]"
        ),
        click.option(
            "--only-mapped",
            is_flag=True,
            help="Leave out fields that no mapping or template names, rather than keep them as metadata.",
        ),
        click.option(
            "--template",
            multiple=True,
            metavar="[FIELD=]TEXT",
            help="Make the text, or prompt=..., completion=..., of a row's fields: 'Q: {question}\\nA: {answer}'.",
        ),
        click.option(
            "--map",
            multiple=True,
            metavar="FIELD=NAME,...",
            help="What a row's fields are: text=body,id=doc.id,metadata.author=by; may be repeated.",
        ),
        click.option("--query", metavar="SELECT", help="What --sql is asked; ORDER BY keeps its rows in one order."),
        click.option(
            "--sql",
            metavar="URL",
            help="Read rows of a database, at an address of SQLAlchemy (extra sql); see --query.",
        ),
        click.option("--split", metavar="NAME", help="Split of a Hugging Face dataset that has several."),
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


def require_sources(files: Sequence[str], options: SourceOptions) -> None:
    """Refuse a command that names nothing to read.

    Raises:
        click.UsageError: neither files nor a query.
    """
    if not files and options.get("sql") is None:
        raise click.UsageError("name FILES to read, or a database with --sql and --query")
