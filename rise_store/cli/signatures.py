"""`rise-store signatures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from typing_extensions import Unpack

from rise_store.cli.options import estimator_option, model_options, parse_estimator
from rise_store.cli.progress import token_bar, working
from rise_store.cli.source_options import require_sources, source_options
from rise_store.corpus import open_examples
from rise_store.ingest import write_signatures
from rise_store.ingestion import IngestOptions, split_options


@click.command()
@click.argument("files", nargs=-1, metavar="FILES...")
@click.option("--model", required=True, metavar="MODEL", help="Hub name, local folder or GGUF file.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write, .npz.")
@source_options
@estimator_option
@model_options
def signatures(
    files: tuple[str, ...], model: str, out: Path, estimator: tuple[str, ...], **options: Unpack[IngestOptions]
) -> None:
    """Write the signatures of a corpus as arrays, without a store.

    FILES are files, folders, patterns and addresses, as for `rise-store ingest`.
    The arrays are ids (n) and signatures (n, dim) float32, rows of unit length.

    \b
    Example:
      rise-store signatures corpus.jsonl --model Qwen/Qwen3-0.6B --out corpus.npz
    """
    config = parse_estimator(estimator)
    from rise_store.signature import SignatureEncoder

    reading, loading = split_options(options)
    require_sources(files, reading)
    corpus = open_examples(files, **reading)
    settings: dict[str, Any] = {**loading, "dtype": loading.get("dtype") or "float32"}
    with working("loading the model"):
        encoder = SignatureEncoder.from_pretrained(model, config, **settings)
    with token_bar("encoding") as progress:
        written = write_signatures(corpus, out, encoder, progress=progress)
    short = f"; {written.too_short} rows under 2 tokens left out" if written.too_short else ""
    click.echo(f"{written.signatures:,} signatures of {written.dim:,} coordinates in {written.path}{short}")
