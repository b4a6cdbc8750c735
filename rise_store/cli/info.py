"""`rise-store info`."""

from __future__ import annotations

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, store_option
from rise_store.cli.output import console, echo_json, print_info


@click.command()
@store_option
@format_option("table", "json")
def info(store: str, format_: str) -> None:
    """Show what a store holds: spaces, models, settings, examples by dataset and licence, size.

    \b
    Example:
      rise-store info --store my-store
    """
    with AttributionStore.open(store, create=False) as opened:
        held = opened.info()
    if format_ == "json":
        echo_json(held.model_dump(mode="json"))
    else:
        print_info(console(), held)
