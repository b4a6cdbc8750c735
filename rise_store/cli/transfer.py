"""`rise-store export`, `import` and `migrate`."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource
from typing_extensions import Unpack

from rise_store.attribution_store import AttributionStore
from rise_store.cli.delete import ONE_SPACE
from rise_store.cli.options import (
    estimator_option,
    format_option,
    model_options,
    parse_estimator,
    space_option,
    store_option,
    where_option,
)
from rise_store.cli.output import console, echo_json
from rise_store.cli.output_lifecycle import print_export, print_import, print_migration
from rise_store.cli.progress import example_bar
from rise_store.encoders import LoadOptions
from rise_store.records import Dataset, validated


@click.command()
@store_option
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to write, .npz or .parquet.",
)
@space_option
@where_option
@format_option("table", "json")
def export(store: str, out: Path, space: str | None, where: tuple[str, ...], format_: str) -> None:
    """Write the signatures and payloads of a space into one file, with all that rise-store import needs.

    \b
    Examples:
      rise-store export --store my-store --out my-store.parquet
      rise-store export --store my-store --out mit.npz --where license=MIT
    """
    with AttributionStore.open(store, create=False) as opened, example_bar("exporting") as progress:
        report = opened.export(out, space=space, where=where, progress=progress)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_export(console(), report)


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path), metavar="SOURCE")
@store_option
@click.option("--new-space", is_flag=True, help="Allow a second signature space beside the store's.")
@click.option("--dataset", metavar="NAME", help="Of an index: name of the dataset that its rows belong to.")
@click.option("--model", metavar="MODEL", help="Of an index: hub name, local folder or GGUF file.")
@click.option("--dataset-version", metavar="VERSION", help="Of an index: version of the dataset.")
@click.option("--source-uri", metavar="URI", help="Of an index: where the dataset came from.")
@click.option("--license", "license_", metavar="SPDX", help="Of an index: licence of rows that do not name their own.")
@estimator_option
@model_options
@format_option("table", "json")
def import_(
    source: Path,
    store: str,
    new_space: bool,
    dataset: str | None,
    model: str | None,
    dataset_version: str | None,
    source_uri: str | None,
    license_: str | None,
    estimator: tuple[str, ...],
    format_: str,
    **loading: Unpack[LoadOptions],
) -> None:
    """Store what rise-store export wrote, or an index of the published RISE engine.

    SOURCE is an .npz or .parquet file, or the folder of an index (manifest.json, projections.npz, shards/). An index
    needs --dataset, and --model where it does not name its model; --estimator states settings that it lacks.

    \b
    Examples:
      rise-store import my-store.parquet --store other-store
      rise-store import rise-index --store my-store --model Qwen/Qwen3-0.6B --dataset news --license CC-BY-4.0
    """
    folder = source.is_dir()
    config = parse_estimator(estimator)
    of_an_index = (dataset, model, dataset_version, source_uri, license_, config)
    source_of = click.get_current_context().get_parameter_source
    stated = [name for name in loading if source_of(name) is ParameterSource.COMMANDLINE]
    if not folder and stated:
        raise click.UsageError(
            f"--{stated[0].replace('_', '-')} goes with the folder of an index: a file needs no model"
        )
    if not folder and any(value is not None for value in of_an_index):
        raise click.UsageError("--dataset, --model, --license and the like go with the folder of an index")
    if folder and dataset is None:
        raise click.UsageError("an index needs --dataset, the name of the dataset that its rows belong to")
    with AttributionStore.open(store) as opened, example_bar("importing") as progress:
        if folder:
            fields = {"name": dataset, "version": dataset_version, "source_uri": source_uri, "license": license_}
            report = opened.import_index(
                source,
                dataset=validated(Dataset, "dataset", fields),
                model=model,
                config=config,
                new_space=new_space,
                progress=progress,
                **loading,
            )
        else:
            report = opened.import_file(source, new_space=new_space, progress=progress)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
        return
    print_import(console(), report)
    for reason in report.rejects:
        click.echo(f"not stored: {reason}", err=True)


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@ONE_SPACE
@click.option("--new-space", is_flag=True, help="Allow a second signature space beside those of TO.")
@format_option("table", "json")
def migrate(source: str, target: str, space: str | None, new_space: bool, format_: str) -> None:
    """Copy a store into another one, a folder or a server; repeat the command to go on after a stop.

    Spaces, tables, examples and indexes are copied; what TO holds already is skipped. In the end counts are compared,
    and the signatures of 200 examples at random.

    \b
    Example:
      rise-store migrate my-store https://qdrant.example.org:6333
    """
    with AttributionStore.open(source, create=False) as opened, example_bar("copying") as progress:
        report = opened.migrate_to(target, space=space, new_space=new_space, progress=progress)
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
    else:
        print_migration(console(), report)
