"""Influence by group as a table, JSON, JSON Lines or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store.cli.output import console, echo_json, how_searched, one_line, print_query
from rise_store.records import AttributionGroups

COLUMNS = ("query", "by", "group", "share", "rows", "positive", "negative")


def echo_groups(answers: Sequence[AttributionGroups], format_: str, *, many: bool) -> None:
    """Print influence by group.

    Args:
        answers: one a query.
        format_: table, json, jsonl or csv.
        many: whether the queries came from a file: their JSON is a list, even of one.
    """
    documents: list[dict[str, Any]] = [answer.model_dump(mode="json") for answer in answers]
    if format_ == "json":
        echo_json(documents if many else documents[0])
    elif format_ == "jsonl":
        for document in documents:
            click.echo(orjson.dumps(document).decode())
    elif format_ == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for number, answer in enumerate(answers, 1):
            for group in answer.groups:
                writer.writerow(group.model_dump() | {"query": answer.query.id or number, "by": answer.by})
        click.echo(out.getvalue(), nl=False)
    else:
        for answer in answers:
            _print(console(), answer)


def _print(out: Console, answer: AttributionGroups) -> None:
    print_query(out, answer.query)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("share", "examples", "positive", "negative"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(answer.by, no_wrap=True, overflow="ellipsis")
    for group in answer.groups:
        name = "(none)" if group.group is None else one_line(_text(group.group), 200)
        share = "-" if group.share is None else f"{100 * group.share:.1f}%"
        table.add_row(share, f"{group.rows:,}", f"{group.positive:.4f}", f"{group.negative:.4f}", Text(name))
    out.print(table)
    considered = (
        f"of the positive scores of {answer.rows:,} of {answer.candidates:,} examples"
        + (f" where {answer.where}" if answer.where else "")
        + how_searched(answer)
        + f"; their negative scores add up to {answer.negative:.4f}\n"
    )
    out.print(Text(f"share {considered}", style="dim"))


def _text(group: str | int | float | bool) -> str:
    return str(group).lower() if isinstance(group, bool) else str(group)
