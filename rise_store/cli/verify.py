"""`rise-store verify`."""

from __future__ import annotations

import sys

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, store_option
from rise_store.cli.output import console, echo_json
from rise_store.cli.output_backup import print_verification
from rise_store.cli.progress_backup import step_bar


@click.command()
@store_option
@format_option("table", "json")
def verify(store: str, format_: str) -> None:
    """Check every file and every row of a store, also of one that cannot be opened.

    Exit code 0 when the store is whole, 2 when it is not: the report names each problem and what to do about it.

    \b
    Example:
      rise-store verify --store my-store
    """
    with step_bar() as progress:
        report = AttributionStore.verify(store, progress=progress)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_verification(console(), report)
    if report.count:
        click.echo(f"{report.count:,} problem{'s' if report.count > 1 else ''} found", err=True)
        sys.exit(2)
