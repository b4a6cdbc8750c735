"""`rise-store query`."""

from __future__ import annotations

import click
from typing_extensions import Unpack

from rise_store.attribution_store import AttributionStore, make_query
from rise_store.cli.options import format_option, model_options, space_option, store_option, where_option
from rise_store.cli.output import echo_results
from rise_store.cli.progress import working
from rise_store.corpus import read_queries
from rise_store.encoders import LoadOptions


@click.command()
@store_option
@click.option("--prompt", metavar="TEXT", help="What the model was given.")
@click.option("--completion", metavar="TEXT", help="What the model answered; only its tokens count.")
@click.option("--text", metavar="TEXT", help="A text to attribute as a whole.")
@click.option(
    "--file",
    "file_",
    metavar="FILE",
    help='JSON Lines of queries: "prompt" with "completion" (or "generation"), or a text; optional "id".',
)
@click.option(
    "-k", type=int, metavar="K", help="How many examples to show.  [default: 10, or all where fewer are stored]"
)
@click.option("--weights", metavar="WEIGHTS", default="rh=1,gh=1", show_default=True, help="Weights of the channels.")
@where_option
@click.option("--model", metavar="MODEL", help="Where to load the model from.  [default: as the store says]")
@space_option
@model_options
@format_option("table", "json", "jsonl", "csv")
def query(
    store: str,
    prompt: str | None,
    completion: str | None,
    text: str | None,
    file_: str | None,
    k: int | None,
    weights: str,
    where: tuple[str, ...],
    model: str | None,
    space: str | None,
    format_: str,
    **loading: Unpack[LoadOptions],
) -> None:
    """Show which stored examples most influenced a model output.

    The score is the dot product of the query's signature with an example's; RH and GH are the channels it comes from.

    \b
    Examples:
      rise-store query --store my-store --prompt "Who wrote it?" --completion "Ada did." -k 5
      rise-store query --store my-store --text "Ada wrote it." --where license=MIT --weights rh=1,gh=0.5
      rise-store query --store my-store --text "Ada wrote it." --where 'tokens >= 50 and not topic in (spam, ads)'
      rise-store query --store my-store --file answers.jsonl --format jsonl
    """
    if file_ is not None and (prompt, completion, text) != (None, None, None):
        raise click.UsageError("--file goes without --prompt, --completion and --text")
    if file_ is not None:
        queries = read_queries(file_)
    elif (prompt, completion, text) == (None, None, None):
        raise click.UsageError("give --prompt with --completion, or --text, or --file")
    else:
        queries = [make_query(prompt=prompt, completion=completion, text=text)]
    with AttributionStore.open(store, create=False) as opened, working("loading the model and searching"):
        results = opened.attribute_all(queries, k=k, weights=weights, where=where, model=model, space=space, **loading)
    echo_results(results, format_, many=file_ is not None)
