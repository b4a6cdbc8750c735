"""`rise-store presets`."""

from __future__ import annotations

import click
from typing_extensions import Unpack

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import format_option, preset_settings, space_option, store_option
from rise_store.cli.output import echo_rows
from rise_store.cli.output_presets import echo_presets, settings_of
from rise_store.records import Preset
from rise_store.retrieval import ScoringOptions


@click.command()
@store_option
@click.option("--save", metavar="NAME", help="Keep the settings of this command under a name, in place of older ones.")
@click.option("--delete", metavar="NAME", help="Forget a preset.")
@preset_settings
@click.option("--note", metavar="TEXT", default="", help="Of --save: where the settings come from, for people.")
@space_option
@format_option("table", "json", "jsonl")
def presets(
    store: str,
    save: str | None,
    delete: str | None,
    note: str,
    space: str | None,
    format_: str,
    **settings: Unpack[ScoringOptions],
) -> None:
    """List the presets of a store, or save or delete one: settings of queries under a name.

    A preset belongs to one space; rise-store query takes its settings from one with --preset NAME.

    \b
    Examples:
      rise-store presets --store my-store
      rise-store presets --store my-store --save close --metric cosine --weights rh=1,gh=0.5 --precondition 0.01
      rise-store presets --store my-store --delete close
    """
    if save is not None and delete is not None:
        raise click.UsageError("give --save or --delete, not both")
    if save is None and (note or any(value is not None for value in settings.values())):
        raise click.UsageError("settings and --note go with --save NAME")
    with AttributionStore.open(store, create=False) as opened:
        if save is not None:
            changed: Preset | None = opened.save_settings(save, space=space, note=note, **settings)
        elif delete is not None:
            changed = opened.delete_preset(delete)
        else:
            found = opened.presets(notify=lambda line: click.echo(f"warning: {line}", err=True))
            listed = [preset for preset in found if preset.space.startswith(space or "")]
    if save is None and delete is None:
        echo_presets(listed, format_)
    elif changed is None:
        if format_ == "table":
            click.echo(f"deleted {delete}, which could not be read")
        else:
            echo_rows({"name": delete}, format_)
    elif format_ == "table":
        done = "saved" if save is not None else "deleted"
        click.echo(f"{done} {changed.name}: {settings_of(changed)}, of space {changed.space}")
    else:
        echo_rows(changed.model_dump(mode="json"), format_)
