"""`rise-store eval`: measures of what a store, or any method, answers. Subcommands of tasks are elsewhere."""

from __future__ import annotations

import click
from typing_extensions import Unpack

from rise_store.attribution_store import AskOptions, AttributionStore
from rise_store.cli.options import (
    bootstrap_option,
    format_option,
    ks_option,
    label_field_option,
    labelled_option,
    model_options,
    scoring_options,
    space_option,
    store_option,
    where_option,
)
from rise_store.cli.output_evaluation import echo_comparison, echo_evaluation
from rise_store.cli.progress import row_bar
from rise_store.evaluation import compare, evaluate, read_labelled, read_scores, require_same_rows


@click.group("eval")
def eval_() -> None:
    """Measure how well the examples that ought to rank high do rank high, with labelled queries.

    For each query the K highest and K lowest examples are taken: auprc and auroc are over those, precision over the K
    highest. average_precision and auroc are over all. Each is averaged over queries, with a 95 % bootstrap interval.

    \b
    Examples:
      rise-store eval store --store my-store --labelled labelled.jsonl
      rise-store eval scores bm25.jsonl
    """


@eval_.command("store")
@store_option
@labelled_option
@label_field_option
@ks_option
@scoring_options
@where_option
@bootstrap_option
@click.option("--model", metavar="MODEL", help="Where to load the model from.  [default: as the store says]")
@space_option
@model_options
@format_option("table", "json", "jsonl", "csv")
def of_store(
    store: str,
    labelled: str,
    label_field: str | None,
    ks: tuple[int, ...],
    where: tuple[str, ...],
    bootstrap: int,
    seed: int,
    model: str | None,
    space: str | None,
    format_: str,
    **options: Unpack[AskOptions],
) -> None:
    """Measure what a store answers to labelled queries. Every stored example is ranked.

    Each line of the labelled file is a query as for rise-store query --file, with "relevant": a filter, or a list of
    example ids.

    \b
    Examples:
      {"prompt": "Who wrote it?", "completion": "Ada did.", "relevant": "topic = computing"}
      {"text": "A tale of Ada.", "relevant": ["tale-3", "tale-8"]}
      {"text": "A tale of Ada.", "label": "tales"}                  with --label-field metadata.label
    \b
      rise-store eval store --store my-store --labelled labelled.jsonl
      rise-store eval store --store my-store --labelled labelled.jsonl --precondition 0.01 -k 5 -k 50
    """
    queries = read_labelled(labelled, label_field=label_field)
    with AttributionStore.open(store, create=False) as opened, row_bar("scoring stored examples") as progress:
        evaluation = opened.evaluate(
            queries,
            ks=ks,
            where=where,
            model=model,
            space=space,
            bootstrap=bootstrap,
            seed=seed,
            progress=progress,
            **options,
        )
    echo_evaluation(evaluation, format_)


@eval_.command("scores")
@click.argument("file", metavar="FILE")
@click.option("--baseline", metavar="FILE", help="Scores of another method for the same queries: show how far ahead.")
@ks_option
@bootstrap_option
@format_option("table", "json", "jsonl", "csv")
def of_scores(file: str, baseline: str | None, ks: tuple[int, ...], bootstrap: int, seed: int, format_: str) -> None:
    """Measure the scores of any method, read from a file.

    FILE is JSON Lines with a row for each query and example, or an .npz archive with arrays "scores" and "relevant",
    (queries, rows) both, and optionally "queries", their names.

    \b
    Examples:
      {"query": "q1", "example": "row-7", "score": 0.31, "relevant": true}
    \b
      rise-store eval scores bm25.jsonl
      rise-store eval scores rise.npz --baseline bm25.npz --format json
    """
    files = [read_scores(path) for path in ((file,) if baseline is None else (file, baseline))]
    if baseline is not None:
        require_same_rows(*files)
    measured = [
        evaluate(read.scores, read.relevant, ks=ks, bootstrap=bootstrap, seed=seed, query_ids=read.queries)
        for read in files
    ]
    if baseline is None:
        echo_evaluation(measured[0], format_)
    else:
        echo_comparison(measured[0], compare(*measured, bootstrap=bootstrap, seed=seed), format_)
