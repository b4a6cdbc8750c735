"""`rise-store register` and `rise-store datasets`."""

from __future__ import annotations

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.dataset_options import dataset_options, strict_option
from rise_store.cli.options import format_option, store_option
from rise_store.cli.output import console, echo_json, echo_rows
from rise_store.cli.output_datasets import print_dataset, print_datasets
from rise_store.records import Dataset


@click.command()
@store_option
@dataset_options
@click.option("--unset", multiple=True, metavar="FIELD", help="Field to forget, such as legal_basis; may be repeated.")
@strict_option
@format_option("table", "json")
def register(store: str, dataset: Dataset, unset: tuple[str, ...], strict: bool, format_: str) -> None:
    """Register a dataset with its provenance, or change what is registered.

    Fields that are not given stay as they are. Later ingestions of the dataset need not repeat them. Ingesting
    registers a dataset too. Stored examples keep the provenance that they were stored with until they are ingested
    again, which computes nothing.

    \b
    Examples:
      rise-store register --store my-store --dataset news --license CC-BY-4.0 --issuer "The Daily"
      rise-store register --store my-store --dataset-file dataset.yaml
    """
    with AttributionStore.open(store) as opened:
        registered = opened.register(dataset, unset=unset, strict=strict)
    for warning in registered.warnings:
        click.echo(f"warning: {warning}", err=True)
    for change in registered.changes:
        click.echo(change, err=True)
    if format_ == "json":
        echo_json(registered.model_dump(mode="json"))
    else:
        print_dataset(console(), registered)


@click.command()
@click.argument("name", required=False)
@store_option
@format_option("table", "json", "jsonl")
def datasets(name: str | None, store: str, format_: str) -> None:
    """List the datasets of a store, or show NAME with all of its provenance.

    \b
    Examples:
      rise-store datasets --store my-store
      rise-store datasets news --store my-store --format json
    """
    with AttributionStore.open(store, create=False) as opened:
        found = opened.datasets(name)
    if format_ == "table":
        if name is None:
            print_datasets(console(), found)
        else:
            print_dataset(console(), found[0])
        return
    rows = [dataset.model_dump(mode="json") for dataset in found]
    echo_rows(rows if name is None else rows[0], format_)
