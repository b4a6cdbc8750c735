"""`rise-store preview`."""

from __future__ import annotations

import click
from typing_extensions import Unpack

from rise_store.cli.options import estimator_option, format_option, parse_estimator, space_option
from rise_store.cli.output_preview import echo_preview
from rise_store.cli.progress import working
from rise_store.cli.source_options import require_sources, source_options
from rise_store.corpus import SourceOptions
from rise_store.preview import DEFAULT_ROWS, DEFAULT_SHOWN, preview_corpus


@click.command()
@click.argument("files", nargs=-1, metavar="[SOURCES]...")
@source_options
@click.option("--model", metavar="MODEL", help="Count tokens and chunks with this model's tokenizer.")
@click.option("--store", metavar="DIR|URL", help="Take model and settings from a store.")
@space_option
@estimator_option
@click.option("--revision", metavar="REVISION", help="Hub revision of the tokenizer.")
@click.option("--trust-remote-code", is_flag=True, help="Let code from the model's repository run.")
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=DEFAULT_ROWS,
    show_default=True,
    metavar="N",
    help="How many rows to look at.",
)
@click.option(
    "-n",
    "--show",
    "shown",
    type=click.IntRange(min=0),
    default=DEFAULT_SHOWN,
    show_default=True,
    metavar="N",
    help="How many of them to show one by one.",
)
@format_option("table", "json")
def preview(
    files: tuple[str, ...],
    model: str | None,
    store: str | None,
    space: str | None,
    estimator: tuple[str, ...],
    revision: str | None,
    trust_remote_code: bool,
    rows: int,
    shown: int,
    format_: str,
    **reading: Unpack[SourceOptions],
) -> None:
    """Show how the first rows of a corpus would be read, tokenized and chunked, and what would be rejected.

    SOURCES are those of `ingest`. Nothing is stored and no weights are loaded. Ends with 0 also where rows would be
    rejected, and with 2 where nothing can be read.

    \b
    Example:
      rise-store preview news.parquet --map text=body,id=doc_id,metadata.author=by --model Qwen/Qwen3-0.6B
    """
    require_sources(files, reading)
    with working("reading"):
        report = preview_corpus(
            files,
            model=model,
            store=store,
            space=space,
            config=parse_estimator(estimator),
            rows=rows,
            shown=shown,
            revision=revision,
            trust_remote_code=trust_remote_code,
            **reading,
        )
    echo_preview(report, format_)
