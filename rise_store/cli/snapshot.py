"""`rise-store snapshot` and `rise-store restore`."""

from __future__ import annotations

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, store_option
from rise_store.cli.output import console, echo_json
from rise_store.cli.output_backup import print_snapshot
from rise_store.cli.progress_backup import byte_bar


@click.command()
@store_option
@click.option("--out", "folder", required=True, metavar="FOLDER", help="New folder for the snapshot.")
@format_option("table", "json")
def snapshot(store: str, folder: str, format_: str) -> None:
    """Copy a store into a folder that can be checked and restored.

    The folder appears when it is complete. Files keep their holes, so it is as small as the store.

    \b
    Example:
      rise-store snapshot --store my-store --out backups/monday
    """
    with byte_bar("copying") as progress:
        report = AttributionStore.snapshot(store, folder, progress=progress)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_snapshot(console(), report)


@click.command()
@click.argument("folder", metavar="FOLDER")
@store_option
@format_option("table", "json")
def restore(folder: str, store: str, format_: str) -> None:
    """Make a new store from a snapshot, checking every file.

    FOLDER is what `rise-store snapshot` made. A damaged snapshot is refused, and nothing is left of the new store.

    \b
    Example:
      rise-store restore backups/monday --store my-store-again
    """
    with byte_bar("copying") as progress:
        report = AttributionStore.restore(folder, store, progress=progress)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_snapshot(console(), report)
