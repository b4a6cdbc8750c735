"""`rise-store runs` and `rise-store run`."""

from __future__ import annotations

from typing import Any

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, store_option
from rise_store.cli.output import console, echo_json, echo_rows
from rise_store.cli.output_runs import print_check, print_run, print_runs
from rise_store.errors import StoreError
from rise_store.records import RunState


@click.command()
@store_option
@click.option("--dataset", metavar="NAME", help="Only runs of this dataset.")
@click.option(
    "--state", type=click.Choice(["RUNNING", "STOPPED", "COMPLETE", "FAILED"]), help="Only runs in this state."
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="The last so many; 0 for all of them."
)
@format_option("table", "json", "jsonl")
def runs(store: str, dataset: str | None, state: RunState | None, limit: int, format_: str) -> None:
    """List the ingestion runs of a store, the last one first.

    A run that is RUNNING, and of which there is no news, was killed: repeating its command goes on with it.

    \b
    Example:
      rise-store runs --store my-store --dataset news --state FAILED
    """
    with AttributionStore.open(store, create=False) as opened:
        found = opened.runs(dataset=dataset, state=state, limit=limit or None)
    if format_ == "table":
        print_runs(console(), found)
    else:
        echo_rows([run.model_dump(mode="json") for run in found], format_)


@click.command()
@click.argument("run_id", metavar="RUN")
@store_option
@click.option("--receipts", is_flag=True, help="Show its receipts too: what became of each block of rows.")
@click.option("--verify", is_flag=True, help="Hold its receipts against what the store has now; exit code 2 if amiss.")
@format_option("table", "json")
def run(run_id: str, store: str, receipts: bool, verify: bool, format_: str) -> None:
    """Show an ingestion run: what it read, what became of the rows, how it ended.

    The beginning of RUN's id is enough.

    \b
    Examples:
      rise-store run 1f0c --store my-store --receipts
      rise-store run 1f0c --store my-store --verify
    """
    with AttributionStore.open(store, create=False) as opened:
        found = opened.run(run_id)
        blocks = opened.receipts(found.id)
        check = opened.check_run(found.id) if verify else None
    if format_ == "json":
        shown: dict[str, Any] = {"run": found.model_dump(mode="json")}
        if receipts:
            shown["receipts"] = [receipt.model_dump(mode="json") for receipt in blocks]
        if check is not None:
            shown["check"] = check.model_dump(mode="json")
        echo_json(shown)
    else:
        print_run(console(), found, blocks, each=receipts)
        if check is not None:
            print_check(console(), check)
    if check is not None and not check.agrees:
        raise StoreError(f"run {found.id} and the store disagree: {'; '.join(check.problems)}")
