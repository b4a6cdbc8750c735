"""`rise-store tombstones`."""

from __future__ import annotations

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, store_option
from rise_store.cli.output import console, echo_json
from rise_store.cli.output_lifecycle import print_tombstones


@click.command()
@store_option
@click.option("--lift", metavar="ID", help="Let the examples of this set come back; it was made by mistake.")
@click.option("--yes", is_flag=True, help="Lift it; without it, only show what would be lifted.")
@format_option("table", "json")
def tombstones(store: str, lift: str | None, yes: bool, format_: str) -> None:
    """List what was erased and may not come back: how much, when and why.

    Tombstones come from rise-store delete --tombstone. Nothing in the store says what they stand for.

    \b
    Examples:
      rise-store tombstones --store my-store
      rise-store tombstones --store my-store --lift 0f3a5b7c9d21 --yes
    """
    with AttributionStore.open(store, create=False) as opened:
        report = opened.tombstones(lift=lift, yes=yes)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_tombstones(console(), report)
