"""`rise-store duplicates`."""

from __future__ import annotations

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, space_option, store_option, where_option
from rise_store.cli.output_valuation import echo_clusters
from rise_store.cli.progress_valuation import RowProgress
from rise_store.retrieval.duplicates import DEFAULT_THRESHOLD, MOST_COMPARED


@click.command()
@store_option
@click.option(
    "--threshold",
    type=float,
    default=DEFAULT_THRESHOLD,
    show_default=True,
    metavar="COSINE",
    help="Cosine of signatures from which on two examples are near-duplicates.",
)
@where_option
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=MOST_COMPARED,
    show_default=True,
    metavar="N",
    help="Refuse to compare more examples than that.",
)
@click.option("--text", "texts", is_flag=True, help="Show texts too; tables always do.")
@space_option
@format_option("table", "json", "jsonl", "csv")
def duplicates(
    store: str,
    threshold: float,
    where: tuple[str, ...],
    most: int,
    texts: bool,
    space: str | None,
    format_: str,
) -> None:
    """Find clusters of stored examples whose signatures are nearly the same; needs no model.

    Each cluster has a representative, the member nearest to its mean; the others may be dropped. Every pair is
    compared, exactly, so the time grows with the square of the number of examples: choose among them with --where.

    \b
    Examples:
      rise-store duplicates --store my-store
      rise-store duplicates --store my-store --threshold 0.95 --where 'dataset = web' --format jsonl
    """
    with AttributionStore.open(store, create=False) as opened, RowProgress("comparing") as progress:
        clusters = opened.duplicates(
            threshold=threshold,
            where=where,
            most=most,
            texts=texts or format_ == "table",
            space=space,
            progress=progress,
        )
    echo_clusters(clusters, format_)
