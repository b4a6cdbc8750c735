"""The `rise-store` command and how it ends."""

from __future__ import annotations

import sys

import click

from rise_store.cli.completion import completion
from rise_store.cli.demo import demo
from rise_store.cli.info import info
from rise_store.cli.ingest import ingest
from rise_store.cli.query import query
from rise_store.cli.signatures import signatures
from rise_store.errors import RiseStoreError
from rise_store.version import __version__

EXIT_CODES = "Exit codes: 0 done; 1 a fault of the program; 2 bad input, Ctrl-C, or a store or model that is no use."


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="rise-store")
def cli() -> None:
    """Find the training examples that shaped a language model's output.

    \b
    rise-store demo
    rise-store ingest corpus.jsonl --store my-store --model Qwen/Qwen3-0.6B --dataset corpus
    rise-store query --store my-store --prompt "Question" --completion "The model's answer"
    """


for command in (ingest, query, info, signatures, demo, completion):
    cli.add_command(command)


def main() -> None:
    """Run the command; every error of ours is one line on standard error and the exit code of its class."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped by Ctrl-C; examples of finished blocks are stored: run the same command to go on", 2)
    except RiseStoreError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone, as in `rise-store query ... | head`.
        sys.stderr.close()
        sys.exit(0)


def _fail(message: str, code: int) -> None:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(code)
