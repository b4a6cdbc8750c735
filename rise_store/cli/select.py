"""`rise-store select`."""

from __future__ import annotations

from typing import get_args

import click
from typing_extensions import Unpack

from rise_store.cli.candidate_options import (
    candidate_options,
    open_candidates,
    opened_for_candidates,
    optional_store_option,
    targets_option,
)
from rise_store.cli.options import format_option, scoring_options
from rise_store.cli.output_valuation import describe_selection, echo_selection
from rise_store.cli.progress_valuation import RowProgress
from rise_store.records import Strategy
from rise_store.valuation import ValueOptions, split_candidate_options


@click.command()
@click.argument("candidates", nargs=-1, metavar="[CANDIDATES]...")
@targets_option
@optional_store_option
@click.option("-k", type=int, metavar="K", help="Rows to select at most.")
@click.option("--tokens", type=int, metavar="N", help="Tokens that they may have together; beside -k or instead of it.")
@click.option(
    "--strategy",
    type=click.Choice(get_args(Strategy)),
    default="mean",
    show_default=True,
    help="mean, max, rrf: the best by that value (see rise-store value). mmr, facility-location: good ones that "
    "differ, from a pool of the best by mean.",
)
@click.option(
    "--quota",
    "quotas",
    multiple=True,
    metavar="FIELD=VALUE:N",
    help="At most N rows with that value, or N% of what is selected: license=MIT:100, dataset=web:30%; an empty "
    "VALUE is no value; may be repeated.",
)
@click.option(
    "--max-per",
    multiple=True,
    metavar="FIELD=N",
    help="At most N rows (or N%) of each value of a field: source_uri=3, metadata.topic=10%; may be repeated.",
)
@click.option(
    "--diversity",
    type=float,
    metavar="LAMBDA",
    help="Of mmr: from 0, values alone, to 1, differences alone.  [default: 0.5]",
)
@click.option(
    "--pool",
    type=int,
    metavar="TIMES",
    help="Of mmr and facility-location: how many times the selection is held to choose from.  [default: 4]",
)
@click.option(
    "--depth",
    type=int,
    metavar="N",
    help="Of rrf: how many candidates of each target are ranked.  [default: 1000, or K if more]",
)
@candidate_options
@scoring_options
@format_option("jsonl", "table", "json", "csv")
def select(
    candidates: tuple[str, ...],
    targets: str,
    store: str | None,
    k: int | None,
    tokens: int | None,
    strategy: Strategy,
    quotas: tuple[str, ...],
    max_per: tuple[str, ...],
    diversity: float | None,
    pool: int | None,
    depth: int | None,
    where: tuple[str, ...],
    model: str | None,
    space: str | None,
    estimator: tuple[str, ...],
    max_rejects: int,
    rejects: str | None,
    format_: str,
    **options: Unpack[ValueOptions],
) -> None:
    """Choose the candidates to train on, as JSON Lines that are ready for it.

    CANDIDATES are files, folders, patterns or addresses, read as `rise-store ingest` reads them (- is standard input);
    without them, the stored examples that pass --where. A line is the row as it was read, or the text and metadata of a
    stored example; its "rise" says rank, value and where the row is from. What is held in memory follows from what is
    selected, not from the number of candidates.

    \b
    Examples:
      rise-store select new.jsonl.gz --targets wanted.jsonl --store my-store -k 1000 > chosen.jsonl
      rise-store select --targets wanted.jsonl --store my-store --tokens 1000000 --quota license=CC-BY-SA-4.0:20%
      rise-store select pool/ --targets wanted.jsonl --model Qwen/Qwen3-0.6B -k 500 --strategy mmr --max-per license=50
    """
    reading, loading = split_candidate_options(options)
    reader = open_candidates(candidates, reading)
    with (
        RowProgress("selecting", reader) as progress,
        opened_for_candidates(store, model, estimator, loading) as opened,
    ):
        selection = opened.select(
            reader,
            targets=targets,
            k=k,
            tokens=tokens,
            strategy=strategy,
            quotas=quotas,
            max_per=max_per,
            diversity=diversity,
            pool=pool,
            depth=depth,
            where=where,
            max_rejects=None if max_rejects < 0 else max_rejects,
            rejects=rejects,
            model=model,
            space=space,
            progress=progress,
            notify=progress.say,
            **options,
        )
    echo_selection(selection, format_)
    if format_ != "table":  # which says it below
        click.echo(describe_selection(selection), err=True)
