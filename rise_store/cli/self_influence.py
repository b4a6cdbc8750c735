"""`rise-store self-influence`."""

from __future__ import annotations

from typing import get_args

import click
from typing_extensions import Unpack

from rise_store.cli.candidate_options import (
    candidate_options,
    open_candidates,
    opened_for_candidates,
    optional_store_option,
)
from rise_store.cli.options import format_option
from rise_store.cli.output_valuation import echo_self_influence
from rise_store.cli.progress_valuation import RowProgress
from rise_store.oddness import DEFAULT_ODD, OddBy
from rise_store.valuation import CandidateOptions, split_candidate_options


@click.command(name="self-influence")
@click.argument("candidates", nargs=-1, metavar="[CANDIDATES]...")
@optional_store_option
@click.option(
    "-k", type=int, default=DEFAULT_ODD, show_default=True, metavar="K", help="Rows to show, the oddest first; 0: all."
)
@click.option(
    "--by",
    type=click.Choice(get_args(OddBy)),
    default="adjusted",
    show_default=True,
    help="self-influence: squared length of the gradient of the mean loss at the LM head, which falls with the length "
    "of a row. adjusted: that times the tokens that count. loss: nats a token. typicality: mean cosine with the rest "
    "of the dataset, least first; of stored examples only, and nearly free.",
)
@click.option("--text", "texts", is_flag=True, help="Show texts too; tables always do.")
@candidate_options
@format_option("table", "json", "jsonl", "csv")
def self_influence(
    candidates: tuple[str, ...],
    store: str | None,
    k: int,
    by: OddBy,
    texts: bool,
    where: tuple[str, ...],
    model: str | None,
    space: str | None,
    estimator: tuple[str, ...],
    max_rejects: int,
    rejects: str | None,
    format_: str,
    **options: Unpack[CandidateOptions],
) -> None:
    """Find rows that the model takes for wrong or odd: mislabelled, garbled, or unlike the rest of their dataset.

    CANDIDATES are files, folders, patterns or addresses, read as `rise-store ingest` reads them (- is standard input);
    of a prompt with its completion, or an instruction with its output, only the latter counts. Without them, the stored
    examples that pass --where, by their whole stored texts. Costs a forward pass a row. Look at the loss beside: rows
    of wrong answers tend to be high in both.

    \b
    Examples:
      rise-store self-influence answers.jsonl --store my-store -k 50
      rise-store self-influence --store my-store --where 'dataset = labelled' --format jsonl
      rise-store self-influence --store my-store --by typicality
    """
    reading, loading = split_candidate_options(options)
    reader = open_candidates(candidates, reading)
    with (
        RowProgress("looking", reader) as progress,
        opened_for_candidates(store, model, estimator, loading) as opened,
    ):
        found = opened.self_influence(
            reader,
            k=k or None,
            by=by,
            where=where,
            texts=texts or format_ == "table",
            max_rejects=None if max_rejects < 0 else max_rejects,
            rejects=rejects,
            model=model,
            space=space,
            progress=progress,
            notify=progress.say,
            **options,
        )
    echo_self_influence(found, format_)
