"""`rise-store recall`."""

from __future__ import annotations

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, space_option, store_option, where_option
from rise_store.cli.output_recall import echo_recall
from rise_store.cli.progress import search_bar
from rise_store.retrieval.recall import DEFAULT_AT_LEAST, DEFAULT_SAMPLE


@click.command()
@store_option
@click.option(
    "--sample", type=int, default=DEFAULT_SAMPLE, show_default=True, metavar="N", help="Stored examples to ask with."
)
@click.option(
    "-k", type=int, metavar="K", help="Length of the answers.  [default: 10, or all others where fewer are stored]"
)
@click.option(
    "--at-least",
    type=float,
    default=DEFAULT_AT_LEAST,
    show_default=True,
    metavar="RECALL",
    help="Recommend no setting that finds less of the exact answer.",
)
@where_option
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="SEED", help="Draw the same examples again from an unchanged store."
)
@space_option
@format_option("table", "json")
def recall(
    store: str,
    sample: int,
    k: int | None,
    at_least: float,
    where: tuple[str, ...],
    seed: int | None,
    space: str | None,
    format_: str,
) -> None:
    """Measure what approximate search finds of the exact answer, and what it costs, on the store's own rows.

    Signatures of stored examples drawn at random are asked with, so no model is needed; an example is left out of its
    own answers. Recommends the fastest setting that reaches --at-least, or exact search.

    \b
    Example:
      rise-store recall --store my-store --sample 200 -k 10 --at-least 0.99
    """
    with AttributionStore.open(store, create=False) as opened, search_bar("searching") as progress:
        report = opened.recall(
            sample=sample, k=k, at_least=at_least, where=where, seed=seed, space=space, progress=progress
        )
    echo_recall(report, format_)
