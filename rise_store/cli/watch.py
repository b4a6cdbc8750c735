"""`rise-store watch`."""

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
from rise_store.cli.progress_watch import WatchProgress
from rise_store.cli.source_options import source_options
from rise_store.ingest import KeepText
from rise_store.ingestion import IngestOptions
from rise_store.profiles import CoarseBits, Profile
from rise_store.records import Dataset


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
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
    default=-1,
    show_default=True,
    metavar="N",
    help="Bad rows to leave out before stopping; -1 for any number.",
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False),
    default="rejects-{run}.jsonl",
    show_default=True,
    metavar="FILE",
    help="File for the rows that were not stored, with the reasons; made only when there are any. {run} stands for the "
    "first 8 characters of the run's id.",
)
@click.option(
    "--max-delay",
    type=float,
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a row waits for others to share its block.",
)
@click.option("--batch", type=int, default=256, show_default=True, metavar="ROWS", help="Rows in a block at most.")
@click.option(
    "--poll",
    type=float,
    metavar="SECONDS",
    help="Look every so often instead of being told by the system, as on network drives.  [addresses: every 5 s]",
)
@click.option("--once", is_flag=True, help="Store what is there and end, as for cron.")
@click.option(
    "--status", type=click.Path(dir_okay=False), metavar="FILE", help="Write every second how it is doing, as JSON."
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), metavar="PORT", help="Serve Prometheus metrics; 0 takes any port."
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="Address to serve metrics on; anybody who reaches it may read them.",
)
@strict_option
@click.option("--new-space", is_flag=True, help="Allow a second signature space (another model or other settings).")
@space_option
@storage_options
@estimator_option
@model_options
@format_option("table", "json")
def watch(
    sources: tuple[str, ...],
    store: str,
    dataset: Dataset,
    strict: bool,
    model: str | None,
    keep_text: KeepText,
    max_rejects: int,
    rejects: str,
    max_delay: float,
    batch: int,
    poll: float | None,
    once: bool,
    status: str | None,
    metrics_port: int | None,
    metrics_host: str,
    new_space: bool,
    space: str | None,
    profile: Profile | None,
    quantization: CoarseBits | None,
    hnsw: bool,
    estimator: tuple[str, ...],
    format_: str,
    **options: Unpack[IngestOptions],
) -> None:
    """Keep a store current: follow files that grow and folders that fill, until SIGTERM or Ctrl-C.

    SOURCES are folders, globs, files, fsspec addresses (s3://...) or - for JSON Lines on standard input, which ends
    the watch when it ends. JSON Lines are read line by line as they are appended; other files as wholes, once nobody
    writes them. A watch that is started again goes on where the last one was, after a kill too. A store in a folder
    belongs to the watch while it runs; one on a server can be queried meanwhile.

    \b
    Example:
      rise-store watch logs/ --store my-store --model Qwen/Qwen3-0.6B --dataset logs --status watch.json
    """
    config = parse_estimator(estimator)
    with AttributionStore.open(store) as opened, WatchProgress() as progress:
        report = opened.watch(
            sources,
            dataset=dataset,
            model=model,
            config=config,
            space=space,
            new_space=new_space,
            keep_text=keep_text,
            max_rejects=None if max_rejects < 0 else max_rejects,
            rejects=rejects,
            strict=strict,
            max_delay=max_delay,
            batch=batch,
            poll=poll,
            once=once,
            status=status,
            metrics=None if metrics_port is None else (metrics_host, metrics_port),
            on_trouble=progress.trouble,
            on_block=progress.block,
            profile=profile,
            quantization=quantization,
            hnsw=hnsw,
            **options,
        )
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_report(console(), report)
