"""`rise-store ingest`."""

from __future__ import annotations

import click
from typing_extensions import Unpack

from rise_store.attribution_store import AttributionStore
from rise_store.cli.dataset_options import dataset_options, strict_option
from rise_store.cli.options import (
    estimator_option,
    format_option,
    model_options,
    parse_estimator,
    space_option,
    storage_options,
    store_option,
)
from rise_store.cli.output import console, echo_json, print_report
from rise_store.cli.progress import IngestProgress
from rise_store.cli.schedule_options import schedule_options
from rise_store.cli.source_options import require_sources, source_options
from rise_store.corpus import open_examples
from rise_store.errors import StoreError
from rise_store.ingest import PATIENCE_S, KeepText
from rise_store.ingestion import IngestOptions, split_options
from rise_store.profiles import CoarseBits, Profile
from rise_store.records import Dataset


@click.command()
@click.argument("files", nargs=-1, metavar="[FILES]...")
@store_option
@dataset_options
@source_options
@click.option("--model", metavar="MODEL", help="Hub name, local folder or GGUF file.  [default: the store's model]")
@click.option(
    "--keep-text",
    type=click.Choice(["full", "preview", "none"]),
    default="full",
    show_default=True,
    help="Store each text in full, as a preview of 200 characters, or not at all.",
)
@click.option(
    "--max-rejects",
    type=click.IntRange(min=-1),
    default=0,
    show_default=True,
    metavar="N",
    help="Bad rows to leave out before stopping; -1 for any number. Texts under 2 tokens never stop a run.",
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False),
    default="rejects-{run}.jsonl",
    show_default=True,
    metavar="FILE",
    help="File for the rows that were not stored, with the reasons; made only when there are any. {run} stands for the "
    "first 8 characters of the run's id. `jq -c .row FILE` gives the rows as they stood, to be mended and ingested.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=PATIENCE_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a server that cannot be reached, each time that it goes away.",
)
@click.option(
    "--partial",
    is_flag=True,
    help="FILES are a part of this version of the dataset: what they lack is not marked as vanished.",
)
@strict_option
@click.option("--new-space", is_flag=True, help="Allow a second signature space (another model or other settings).")
@space_option
@storage_options
@estimator_option
@schedule_options
@model_options
@format_option("table", "json")
def ingest(
    files: tuple[str, ...],
    store: str,
    dataset: Dataset,
    partial: bool,
    strict: bool,
    model: str | None,
    keep_text: KeepText,
    max_rejects: int,
    rejects: str,
    patience: float,
    new_space: bool,
    space: str | None,
    profile: Profile | None,
    quantization: CoarseBits | None,
    hnsw: bool,
    estimator: tuple[str, ...],
    workers: int | None,
    gpus: tuple[int, ...],
    ray: str | None,
    format_: str,
    **options: Unpack[IngestOptions],
) -> None:
    """Add a corpus to a store; what is stored already costs nothing.

    FILES are JSON Lines, CSV, TSV, Parquet, plain text and Markdown (plain, .gz, .zst, .bz2, .xz), folders and
    patterns of them, or addresses such as s3://...; folders that Hugging Face datasets saved, or hf-dataset:NAME on the
    hub; - is standard input. A row has "text", or "prompt" and "completion" (or "generation"), or "instruction",
    "input", "output", or "messages", which the model's chat template makes a text of; optional "id", "license",
    "source_uri" and "metadata". Further fields are kept as metadata. --map and --template read other layouts, and
    rise-store preview shows what they would give.

    Repeating the command after a kill goes on where the run stopped. Of a new --dataset-version, changed examples are
    replaced, others keep their signature, and those that the version lacks are marked with "vanished_in".

    \b
    Example:
      rise-store ingest news.jsonl.gz --store my-store --model Qwen/Qwen3-0.6B --dataset news --license CC-BY-4.0
    """
    config = parse_estimator(estimator)
    reading, loading = split_options(options)
    require_sources(files, reading)
    reader = open_examples(files, **reading)
    with AttributionStore.open(store) as opened, IngestProgress(reader) as progress:
        report = opened.ingest(
            reader,
            dataset=dataset,
            model=model,
            config=config,
            space=space,
            new_space=new_space,
            keep_text=keep_text,
            max_rejects=None if max_rejects < 0 else max_rejects,
            rejects=rejects,
            partial=partial,
            strict=strict,
            progress=progress,
            patience=patience,
            notify=progress.say,
            profile=profile,
            quantization=quantization,
            hnsw=hnsw,
            workers=workers,
            gpus=gpus,
            ray=ray,
            **loading,
        )
    for licence, rows in report.unknown_licenses.items():
        click.echo(f"warning: SPDX knows no licence {licence!r}, which {rows:,} rows name", err=True)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_report(console(), report)
    for reason in report.rejects:
        click.echo(f"not stored: {reason}", err=True)
    if report.rejects_file is not None:
        click.echo(f"all rows that were not stored: {report.rejects_file}", err=True)
    if report.state == "FAILED":
        raise StoreError(f"run {report.run_id} does not add up: {report.message}")
    if report.message:
        click.echo(f"warning: {report.message}", err=True)
