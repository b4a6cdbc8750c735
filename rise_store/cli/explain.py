"""`rise-store explain`."""

from __future__ import annotations

from pathlib import Path

import click
from typing_extensions import Unpack

from rise_store.attribution_store import AskOptions, AttributionStore, make_query
from rise_store.cli.options import (
    format_option,
    model_options,
    scoring_options,
    space_option,
    store_option,
    where_option,
)
from rise_store.cli.output_explain import echo_explanations
from rise_store.cli.progress import explanation_bar
from rise_store.explaining import DEFAULT_K, DEFAULT_PAIRS
from rise_store.reports import write_explanations
from rise_store.whole_files import check_writable


@click.command()
@store_option
@click.option("--prompt", metavar="TEXT", help="What the model was given.")
@click.option("--completion", metavar="TEXT", help="What the model answered; only its tokens count.")
@click.option("--text", metavar="TEXT", help="A text to explain as a whole.")
@click.option(
    "--against", metavar="TEXT", help="What the model might have answered instead; its tokens are subtracted."
)
@click.option("--against-prompt", metavar="TEXT", help="Prompt of --against.  [default: --prompt]")
@click.option("--example", "example_id", metavar="ID", help="Id of the example to explain.")
@click.option("--dataset", metavar="NAME", help="Dataset of --example, where several have one of this id.")
@click.option(
    "-k",
    type=int,
    metavar="K",
    help=f"Without --example: explain the K best.  [default: {DEFAULT_K}, or all where fewer are stored]",
)
@click.option(
    "--top-pairs",
    type=int,
    default=DEFAULT_PAIRS,
    show_default=True,
    metavar="N",
    help="Show the N strongest pairs of tokens of either sign.",
)
@scoring_options
@where_option
@click.option("--html", metavar="FILE", help="Write a report that a browser shows and prints, in one file.")
@click.option("--model", metavar="MODEL", help="Where to load the model from.  [default: as the store says]")
@space_option
@model_options
@format_option("table", "json", "jsonl")
def explain(
    store: str,
    prompt: str | None,
    completion: str | None,
    text: str | None,
    against: str | None,
    against_prompt: str | None,
    example_id: str | None,
    dataset: str | None,
    k: int | None,
    top_pairs: int,
    where: tuple[str, ...],
    html: str | None,
    model: str | None,
    space: str | None,
    format_: str,
    **options: Unpack[AskOptions],
) -> None:
    """Show which words of a training example its score comes from, against which words of the answer.

    Both texts are encoded anew. What predicting each token adds is coloured: blue adds to the score, orange takes
    away; without colours, [[ ]] and [ ] stand around what adds much, {{ }} and { } around what takes away much.

    \b
    Examples:
      rise-store explain --store my-store --prompt "Who wrote it?" --completion " Ada did." -k 3
      rise-store explain --store my-store --prompt "Who wrote it?" --completion " Ada did." --example row-7
      rise-store explain --store my-store --text "Ada wrote it." --against "Grace wrote it." --html why.html
    """
    if (prompt, completion, text) == (None, None, None):
        raise click.UsageError("give --prompt with --completion, or --text")
    if html is not None:
        check_writable(Path(html))
    query = make_query(prompt=prompt, completion=completion, text=text, against=against, against_prompt=against_prompt)
    with AttributionStore.open(store, create=False) as opened, explanation_bar("loading the model") as progress:
        explanations = opened.explain(
            query,
            example_id=example_id,
            dataset=dataset,
            k=k,
            top_pairs=top_pairs,
            where=where,
            model=model,
            space=space,
            progress=progress,
            **options,
        )
    if html is not None:
        write_explanations(Path(html), explanations)
        click.echo(f"report in {html}", err=True)
    echo_explanations(explanations, format_, one=example_id is not None)
