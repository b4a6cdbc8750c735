"""Options of commands that add to a dataset: its name and provenance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from typing_extensions import TypedDict, Unpack

from rise_store.records import Dataset, validated

Command = TypeVar("Command", bound=Callable[..., Any])


class DatasetOptions(TypedDict):
    """The options as click passes them."""

    dataset: str
    dataset_version: str | None
    source_uri: str | None
    license_: str | None


def dataset_options(command: Command) -> Command:
    """The name of the dataset and its provenance, as `DatasetOptions`."""
    for option in (
        click.option("--license", "license_", metavar="SPDX", help="Licence of rows that do not name their own."),
        click.option("--source-uri", metavar="URI", help="Where the dataset came from."),
        click.option("--dataset-version", metavar="VERSION", help="Version of the dataset."),
        click.option(
            "--dataset", required=True, metavar="NAME", help="Name of the dataset that the examples belong to."
        ),
    ):
        command = option(command)
    return command


def make_dataset(**options: Unpack[DatasetOptions]) -> Dataset:
    """The dataset that the options name.

    Raises:
        ConfigError: a field that cannot be used.
    """
    return validated(
        Dataset,
        "dataset",
        {
            "name": options["dataset"],
            "version": options["dataset_version"],
            "source_uri": options["source_uri"],
            "license": options["license_"],
        },
    )
