"""`rise-store annotate`."""

from __future__ import annotations

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.delete import ONE_SPACE
from rise_store.cli.options import format_option, store_option, where_option
from rise_store.cli.output import console, echo_json
from rise_store.cli.output_lifecycle import print_annotation
from rise_store.cli.progress import working


@click.command()
@store_option
@where_option
@click.option("--set", "set_", multiple=True, metavar="FIELD=VALUE", help="Set a field; may be repeated.")
@click.option("--unset", multiple=True, metavar="FIELD", help="Remove a field; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
@ONE_SPACE
@format_option("table", "json")
def annotate(
    store: str,
    where: tuple[str, ...],
    set_: tuple[str, ...],
    unset: tuple[str, ...],
    dry_run: bool,
    space: str | None,
    format_: str,
) -> None:
    """Change licence, source_uri, dataset_version or metadata of stored examples; nothing is computed anew.

    A metadata value is read as JSON where it is JSON (true, 3, ["a"]), else as a text; nested fields are dotted.

    \b
    Examples:
      rise-store annotate --store my-store --where dataset=news --set license=CC0-1.0 --set metadata.reviewed=true
      rise-store annotate --store my-store --where license=unknown --unset license --dry-run
    """
    with AttributionStore.open(store, create=False) as opened, working("annotating"):
        report = opened.annotate(where, set=set_, unset=unset, space=space, dry_run=dry_run)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_annotation(console(), report)
