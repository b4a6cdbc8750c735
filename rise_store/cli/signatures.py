"""`rise-store signatures`."""

from __future__ import annotations

from pathlib import Path

import click

from rise_store.cli.options import device_option, estimator_option, parse_estimator
from rise_store.cli.progress import token_bar, working
from rise_store.ingest import write_signatures


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--model", required=True, metavar="MODEL", help="Hub name, local folder or GGUF file.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write, .npz.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Precision of the model.",
)
@estimator_option
@device_option
def signatures(file: str, model: str, out: Path, dtype: str, estimator: tuple[str, ...], device: str) -> None:
    """Write the signatures of a JSON Lines file as arrays, without a store.

    The arrays are ids (n) and signatures (n, dim) float32, rows of unit length.

    \b
    Example:
      rise-store signatures corpus.jsonl --model Qwen/Qwen3-0.6B --out corpus.npz
    """
    config = parse_estimator(estimator)
    from rise_store.signature import SignatureEncoder

    with working("loading the model"):
        encoder = SignatureEncoder.from_pretrained(model, config, dtype=dtype, device=device)
    with token_bar("encoding") as progress:
        written = write_signatures(file, out, encoder, progress=progress)
    short = f"; {written.too_short} rows under 2 tokens left out" if written.too_short else ""
    click.echo(f"{written.signatures:,} signatures of {written.dim:,} coordinates in {written.path}{short}")
