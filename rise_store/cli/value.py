"""`rise-store value`."""

from __future__ import annotations

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
from rise_store.cli.output_valuation import echo_values
from rise_store.cli.progress_valuation import RowProgress
from rise_store.records import ValueBy
from rise_store.valuation import ValueOptions, split_candidate_options


@click.command()
@click.argument("candidates", nargs=-1, metavar="[CANDIDATES]...")
@targets_option
@optional_store_option
@click.option(
    "--by",
    type=click.Choice(["mean", "max", "rrf"]),
    default="mean",
    show_default=True,
    help="mean: mean score over the targets. max: largest. rrf: sum of 1 / (60 + rank) over the targets, of those "
    "candidates that are among the best of one.",
)
@click.option(
    "--depth", type=int, metavar="N", help="Of rrf: how many candidates of each target are ranked.  [default: 1000]"
)
@click.option("--per-target", is_flag=True, help="Show the score of each target too (not in tables).")
@click.option("--text", "texts", is_flag=True, help="Show texts too; tables always do.")
@candidate_options
@scoring_options
@format_option("table", "json", "jsonl", "csv")
def value(
    candidates: tuple[str, ...],
    targets: str,
    store: str | None,
    by: ValueBy,
    depth: int | None,
    per_target: bool,
    texts: bool,
    where: tuple[str, ...],
    model: str | None,
    space: str | None,
    estimator: tuple[str, ...],
    max_rejects: int,
    rejects: str | None,
    format_: str,
    **options: Unpack[ValueOptions],
) -> None:
    """Score candidates by how much they would help with a set of targets, without labels.

    CANDIDATES are files, folders, patterns or addresses, read as `rise-store ingest` reads them (- is standard input);
    without them, the stored examples that pass --where. Candidates go through and nothing is kept: to keep them, ingest
    them first and value the stored ones, which runs the model once too. Without --store, --model says in which model's
    space, with the published settings or --estimator. JSON Lines and CSV come in the order of the candidates (rrf: best
    first) while they are valued.

    \b
    Examples:
      rise-store value new.jsonl.gz --targets wanted.jsonl --store my-store --format jsonl
      rise-store value --targets wanted.jsonl --store my-store --where 'dataset = news'
      cat new.jsonl | rise-store value - --targets wanted.jsonl --model Qwen/Qwen3-0.6B
    """
    reading, loading = split_candidate_options(options)
    reader = open_candidates(candidates, reading)
    with (
        RowProgress("valuing", reader) as progress,
        opened_for_candidates(store, model, estimator, loading) as opened,
    ):
        values = opened.value(
            reader,
            targets=targets,
            by=by,
            depth=depth,
            where=where,
            per_target=per_target,
            texts=texts or format_ == "table",
            max_rejects=None if max_rejects < 0 else max_rejects,
            rejects=rejects,
            model=model,
            space=space,
            progress=progress,
            notify=progress.say,
            **options,
        )
        echo_values(values, by, format_)
