"""`rise-store delete` and `rise-store compact`."""

from __future__ import annotations

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, store_option, where_option
from rise_store.cli.output import console, echo_json
from rise_store.cli.output_lifecycle import print_compaction, print_deletion
from rise_store.cli.progress import working

ONE_SPACE = click.option(
    "--space", metavar="FINGERPRINT", help="Only this space; its beginning is enough.  [default: all of them]"
)


@click.command()
@click.argument("ids", nargs=-1, metavar="[IDS]...")
@store_option
@click.option("--dataset", metavar="NAME", help="Only examples of this dataset.")
@where_option
@click.option("--yes", is_flag=True, help="Delete; without it, only show what would be deleted.")
@click.option("--tombstone", is_flag=True, help="Keep them from coming back: ingesting and importing them is refused.")
@click.option("--reason", metavar="TEXT", default="", help="What the tombstones say; it should name no content.")
@ONE_SPACE
@format_option("table", "json")
def delete(
    ids: tuple[str, ...],
    store: str,
    dataset: str | None,
    where: tuple[str, ...],
    yes: bool,
    tombstone: bool,
    reason: str,
    space: str | None,
    format_: str,
) -> None:
    """Delete examples: those that IDS, --dataset and --where all name.

    Shows how many and which; acts only with --yes. Deleted examples are found no more, but their bytes are gone from
    disk only after rise-store compact.

    \b
    Examples:
      rise-store delete --store my-store --dataset forum --where license=unknown
      rise-store delete row-17 row-18 --store my-store --dataset news --yes
      rise-store delete row-17 --store my-store --tombstone --reason "request 2026-118" --yes
    """
    with AttributionStore.open(store, create=False) as opened:
        report = opened.delete(
            ids or None, dataset=dataset, where=where, space=space, yes=yes, tombstone=tombstone, reason=reason
        )
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_deletion(console(), report)
    consequence = "; nothing of it was erased, and no tombstone recorded" if tombstone else ""
    for id_ in report.unknown_ids:
        click.echo(f"not stored: example {id_!r}{consequence}", err=True)


@click.command()
@store_option
@ONE_SPACE
@format_option("table", "json")
def compact(store: str, space: str | None, format_: str) -> None:
    """Free what deleted and replaced examples left on disk; none of their bytes remain.

    \b
    Example:
      rise-store compact --store my-store
    """
    with AttributionStore.open(store, create=False) as opened, working("compacting"):
        report = opened.compact(space=space)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_compaction(console(), report)
