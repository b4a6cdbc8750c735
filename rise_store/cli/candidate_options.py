"""Options of commands that judge candidates: what they are held against, and which are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import estimator_option, model_options, parse_estimator, space_option, where_option
from rise_store.cli.source_options import source_options
from rise_store.corpus import ExampleReader, SourceOptions, open_examples
from rise_store.encoders import LoadOptions
from rise_store.errors import ConfigError
from rise_store.valuation import Valuation, ValuationWithoutStore

Command = TypeVar("Command", bound=Callable[..., Any])

optional_store_option = click.option(
    "--store",
    metavar="DIR|URL",
    envvar="RISE_STORE",
    show_envvar=True,
    help="Folder or URL of the store whose space candidates are valued in; its examples are the candidates where none "
    "are named.  [default: none; then name --model]",
)

targets_option = click.option(
    "--targets",
    required=True,
    metavar="FILE",
    help='JSON Lines of what the model is wanted to do: rows with "text", or "prompt" and "completion"; - is standard '
    "input.",
)


def candidate_options(command: Command) -> Command:
    """Which rows are looked at, how their sources are read, and how the model is loaded."""
    for option in (
        where_option,
        click.option("--model", metavar="MODEL", help="Where to load the model from.  [default: as the store says]"),
        space_option,
        estimator_option,
        click.option(
            "--max-rejects",
            type=click.IntRange(min=-1),
            default=0,
            show_default=True,
            metavar="N",
            help="Bad rows to leave out before stopping; -1 for any number. Texts under 2 tokens never stop a command.",
        ),
        click.option(
            "--rejects",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="File for the rows that were left out, with the reasons.  [default: none]",
        ),
        source_options,
        model_options,
    ):
        command = option(command)
    return command


def open_candidates(files: Sequence[str], reading: SourceOptions) -> ExampleReader | None:
    """The rows of sources, each by itself; None where stored examples are the candidates.

    Raises:
        InputError: a source that cannot be opened.
        click.UsageError: options of reading, and nothing to read.
    """
    if files or reading.get("sql") is not None:
        return open_examples(files, distinct=False, **reading)
    given = [name for name, value in reading.items() if value]
    if given:
        raise click.UsageError(
            f"--{given[0].replace('_', '-')} is about reading files, and none are named: the candidates are stored "
            "examples"
        )
    return None


@contextmanager
def opened_for_candidates(
    store: str | None,
    model: str | None,
    estimator: Sequence[str],
    loading: LoadOptions,
) -> Iterator[Valuation]:
    """What values candidates: a store, or without one a model, which is loaded.

    Raises:
        ConfigError: neither, or settings of the estimator beside a store.
    """
    config = parse_estimator(tuple(estimator))
    if store is None:
        if model is None:
            raise ConfigError("name a store with --store, or a model with --model: a hub name, a folder or a GGUF file")
        yield ValuationWithoutStore.from_pretrained(model, config, **loading)
        return
    if config is not None:
        raise ConfigError("a store's space has its settings: --estimator is for work without a store; leave it out")
    with AttributionStore.open(store, create=False) as opened:
        yield opened
