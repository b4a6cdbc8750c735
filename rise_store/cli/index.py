"""`rise-store index`."""

from __future__ import annotations

from typing import get_args

import click
from rich.table import Table
from rich.text import Text

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, space_option, store_option
from rise_store.cli.output import console, echo_json
from rise_store.records import FieldIndex
from rise_store.store import IndexKind


@click.command()
@click.argument("field", metavar="[FIELD]", required=False)
@store_option
@click.option("--type", "kind", type=click.Choice(get_args(IndexKind)), help="What the field holds.")
@click.option("--list", "list_", is_flag=True, help="Show the indexed fields instead.")
@space_option
@format_option("table", "json")
def index(field: str | None, store: str, kind: IndexKind | None, list_: bool, space: str | None, format_: str) -> None:
    """Index a metadata field, so that filters on it are fast. The store's own fields are indexed already.

    No example need have the field yet. Text is of type keyword; filters on true and false are fast without an index.

    \b
    Examples:
      rise-store index topic --type keyword --store my-store
      rise-store index --list --store my-store
    """
    if list_ == (field is not None) or list_ == (kind is not None):
        raise click.UsageError("give a FIELD with --type, or --list alone")
    with AttributionStore.open(store, create=False) as opened:
        if field is None or kind is None:
            indexes = opened.indexes(space=space)
        else:
            made = opened.index(field, kind, space=space)
    if list_ and format_ == "json":
        echo_json([one.model_dump(mode="json", exclude={"new"}) for one in indexes])
    elif list_:
        _print(indexes)
    elif format_ == "json":
        echo_json(made.model_dump(mode="json"))
    else:
        click.echo(_outcome(made))


def _outcome(made: FieldIndex) -> str:
    if made.new:
        return f"{made.field} has an index of type {made.kind} now"
    return f"{made.field} has an index of type {made.kind} already" + (
        ": the store indexes its own fields by itself" if made.own else ""
    )


def _print(indexes: list[FieldIndex]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("field", "type", "made by"):
        table.add_column(name, no_wrap=True)
    for one in indexes:
        table.add_row(Text(one.field), one.kind, "the store" if one.own else "rise-store index")
    console().print(table)
