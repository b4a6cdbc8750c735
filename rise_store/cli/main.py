"""The `rise-store` command and how it ends."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

import click

from rise_store.cli.annotate import annotate
from rise_store.cli.calibrate import calibrate
from rise_store.cli.completion import completion
from rise_store.cli.datasets import datasets, register
from rise_store.cli.delete import compact, delete
from rise_store.cli.demo import demo
from rise_store.cli.duplicates import duplicates
from rise_store.cli.evaluate import eval_
from rise_store.cli.evaluate_tasks import add_tasks
from rise_store.cli.explain import explain
from rise_store.cli.index import index
from rise_store.cli.info import info
from rise_store.cli.ingest import ingest
from rise_store.cli.presets import presets
from rise_store.cli.preview import preview
from rise_store.cli.query import query
from rise_store.cli.recall import recall
from rise_store.cli.runs import run, runs
from rise_store.cli.select import select
from rise_store.cli.self_influence import self_influence
from rise_store.cli.signatures import signatures
from rise_store.cli.snapshot import restore, snapshot
from rise_store.cli.tombstones import tombstones
from rise_store.cli.transfer import export, import_, migrate
from rise_store.cli.value import value
from rise_store.cli.verify import verify
from rise_store.cli.watch import watch
from rise_store.errors import Interrupted, RiseStoreError
from rise_store.version import __version__

EXIT_CODES = "Exit codes: 0 done; 1 a fault of the program; 2 bad input, Ctrl-C, or a store or model that is no use."


class Commands(click.Group):
    """The commands, with our own word for Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("stopped by Ctrl-C; nothing stored is lost: run the same command again") from None


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}, epilog=EXIT_CODES
)
@click.version_option(__version__, prog_name="rise-store")
def cli() -> None:
    """Find the training examples that shaped a language model's output.

    \b
    rise-store demo
    rise-store ingest corpus.jsonl --store my-store --model Qwen/Qwen3-0.6B --dataset corpus
    rise-store query --store my-store --prompt "Question" --completion "The model's answer"
    """


cli.add_command(tombstones)
for command in (ingest, query, info, verify, snapshot, restore, signatures, demo, completion, recall, index):
    cli.add_command(command)
cli.add_command(explain)
cli.add_command(watch)
add_tasks(eval_.add_command)
for command in (eval_, calibrate):
    cli.add_command(command)
cli.add_command(preview)
cli.add_command(presets)
for command in (delete, compact, annotate, export, import_, migrate):
    cli.add_command(command)
for command in (register, datasets, runs, run):
    cli.add_command(command)
for command in (value, select, self_influence, duplicates):
    cli.add_command(command)


def main() -> None:
    """Run the command; every error of ours is one line on standard error and the exit code of its class."""
    output = sys.stdout
    for stream in (output, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal or a code page that lacks a character shows a mark
    try:
        cli(prog_name="rise-store", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "rise-store")
        message = error.format_message().rstrip(".")
        _fail(f"{message}{'' if message.endswith(('?', '?)')) else '.'} See {command} --help", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped by Ctrl-C", 2)
    except RiseStoreError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _leave_output(error)
    except SystemExit as end:
        # When the reader of our output has gone, as in `rise-store info | head -1`, click and rich exit with 1.
        # click also replaces the stream.
        if sys.stdout is output and not isinstance(end.__context__, BrokenPipeError):
            raise
        _leave_output(BrokenPipeError())


def _leave_output(error: OSError) -> None:
    """End without another word to a standard output that takes none: a closed pipe is no error, a full disk is."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        sys.exit(0)
    _fail(f"cannot write the output: {error.strerror or error}", 2)


def _fail(message: str, code: int) -> None:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(code)
