"""`rise-store calibrate`."""

from __future__ import annotations

import click
from typing_extensions import Unpack

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import (
    format_option,
    label_field_option,
    labelled_option,
    model_options,
    seed_option,
    store_option,
    where_option,
)
from rise_store.cli.output_evaluation import echo_calibration
from rise_store.cli.progress import row_bar
from rise_store.encoders import LoadOptions
from rise_store.evaluation import read_labelled
from rise_store.evaluation.calibration import DEFAULT_MEASURE
from rise_store.evaluation.choice import DEFAULT_FOLDS

FEW_QUERIES = 10  # with fewer, a bootstrap interval is too narrow to be trusted


@click.command()
@store_option
@labelled_option
@label_field_option
@click.option("--save", metavar="NAME", help="Keep what is chosen as a preset, for rise-store query --preset NAME.")
@click.option(
    "--measure",
    default=DEFAULT_MEASURE,
    show_default=True,
    metavar="MEASURE",
    help="What to raise: average-precision, auroc, auprc@K or precision@K, such as auprc@10.",
)
@click.option(
    "--folds",
    type=int,
    default=DEFAULT_FOLDS,
    show_default=True,
    metavar="N",
    help="Of the cross-validation; with fewer queries, each of them is a fold.",
)
@where_option
@seed_option
@click.option("--model", metavar="MODEL", help="Where to load the model from.  [default: as the store says]")
@click.option("--space", metavar="FINGERPRINT", help="Stay in this space.  [default: try every space of the store]")
@model_options
@format_option("table", "json")
def calibrate(
    store: str,
    labelled: str,
    label_field: str | None,
    save: str | None,
    measure: str,
    folds: int,
    where: tuple[str, ...],
    seed: int,
    model: str | None,
    space: str | None,
    format_: str,
    **loading: Unpack[LoadOptions],
) -> None:
    """Choose metric, weights, preconditioning and space by labelled queries, and tell what that gains.

    Settings are chosen without each fold's queries and measured on them. They replace the defaults only where the
    interval of the gain lies above 0. See rise-store eval store --help for the labelled file.

    \b
    Examples:
      rise-store calibrate --store my-store --labelled labelled.jsonl --save tuned
      rise-store query --store my-store --text "Ada wrote it." --preset tuned
      rise-store calibrate --store my-store --labelled labelled.jsonl --measure auprc@10 --format json
    """
    queries = read_labelled(labelled, label_field=label_field)
    with AttributionStore.open(store, create=False) as opened, row_bar("trying settings") as progress:
        report = opened.calibrate(
            queries,
            save=save,
            measure=measure,
            folds=folds,
            where=where,
            model=model,
            space=space,
            seed=seed,
            progress=progress,
            **loading,
        )
    echo_calibration(report, format_)
    if report.queries < FEW_QUERIES:
        click.echo(
            f"note: {report.queries} queries are few: the interval of the gain is narrower than it ought to be; "
            f"trust it with {FEW_QUERIES} and more",
            err=True,
        )
