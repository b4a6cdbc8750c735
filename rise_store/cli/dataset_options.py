"""Options of commands that are about a dataset: its name and provenance."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from rise_store.corpus.dataset_file import read_dataset_file
from rise_store.records import Dataset, validated

Command = TypeVar("Command", bound=Callable[..., Any])

# Flag, metavar, field of `Dataset` or of its period, and help.
_FLAGS = (
    ("--dataset-version", "VERSION", "version", "Version of the dataset."),
    ("--source-uri", "URI", "source_uri", "Where the dataset came from."),
    ("--license", "SPDX", "license", "Licence of rows that do not name their own, as CC-BY-4.0 or LicenseRef-NAME."),
    ("--license-uri", "URI", "license_uri", "Text of the licence."),
    ("--issuer", "NAME", "issuer", "Who publishes the dataset."),
    ("--origin", "TEXT", "origin", "How the data came about, such as web crawl, survey or synthetic."),
    ("--collected-from", "DATE", "start", "First day of collection."),
    ("--collected-until", "DATE", "end", "Last day of collection."),
    ("--legal-basis", "TEXT", "legal_basis", "Ground on which the data may be processed, such as contract."),
    ("--consent", "TEXT", "consent", "What the people concerned agreed to, or where that is recorded."),
    ("--retention", "DATE|DURATION", "retention", "Day on which the data must go, or a duration such as P5Y."),
)
_PERIOD = ("start", "end")

strict_option = click.option(
    "--strict", is_flag=True, help="Refuse licences that SPDX does not know, of the dataset and of rows."
)


def dataset_options(command: Command) -> Command:
    """The name of the dataset and its provenance: the command gets them as `dataset`, a `Dataset`."""

    @functools.wraps(command)
    def with_dataset(*arguments: Any, **options: Any) -> Any:
        fields = (*(field for _, _, field, _ in _FLAGS), "pii", "permitted_uses")
        given = {field: options.pop(f"dataset_{field}") for field in fields}
        dataset = _dataset(options.pop("dataset_name"), options.pop("dataset_file"), given)
        return command(*arguments, dataset=dataset, **options)

    wrapped: Any = with_dataset
    wrapped = click.option(
        "--permitted-use",
        "dataset_permitted_uses",
        multiple=True,
        metavar="USE",
        help="What the data may be used for.",
    )(wrapped)
    wrapped = click.option(
        "--pii",
        "dataset_pii",
        type=click.Choice(["none", "pseudonymised", "present", "unknown"]),
        help="Whether the data holds personal information.",
    )(wrapped)
    for flag, metavar, field, text in reversed(_FLAGS):
        wrapped = click.option(flag, f"dataset_{field}", metavar=metavar, help=text)(wrapped)
    wrapped = click.option(
        "--dataset-file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="YAML file with name and provenance of the dataset; options count in place of what it says.",
    )(wrapped)
    wrapped = click.option(
        "--dataset",
        "dataset_name",
        metavar="NAME",
        help="Name of the dataset that the examples belong to; fields that it was registered with need no repeating.",
    )(wrapped)
    return cast(Command, wrapped)


def _dataset(name: str | None, file: Path | None, given: dict[str, Any]) -> Dataset:
    """The dataset that options describe.

    Raises:
        click.UsageError: no name.
        InputError, ConfigError: the file, or a field, cannot be used.
    """
    fields = {field: value for field, value in given.items() if value not in (None, ()) and field not in _PERIOD}
    if name is not None:
        fields["name"] = name
    period = {field: given[field] for field in _PERIOD if given.get(field) is not None}
    if period:
        fields["collection_period"] = period
    if file is not None:
        return read_dataset_file(file, fields)
    if name is None:
        raise click.UsageError("Missing option '--dataset'")
    return validated(Dataset, "dataset", fields)
