"""Presets as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from rise_store.cli.output import console, echo_rows, one_line
from rise_store.records import Preset


def echo_presets(presets: Sequence[Preset], format_: str) -> None:
    """Print the presets of a store; `format_` is table, json or jsonl."""
    if format_ != "table":
        echo_rows([preset.model_dump(mode="json") for preset in presets], format_)
        return
    out = console()
    if not presets:
        out.print("no presets; rise-store presets --save NAME keeps one")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("preset", "settings", "space", "saved", "note"):
        table.add_column(name, overflow="fold")
    for preset in presets:
        saved = preset.created_at[:19].replace("T", " ")
        cells = (preset.name, settings_of(preset), preset.space[:8], saved, one_line(preset.note or "-", 200))
        table.add_row(*map(Text, cells))
    out.print(table)


def settings_of(preset: Preset) -> str:
    """What a preset sets, as the options that would say the same."""
    settings = f"--metric {preset.metric}"
    if preset.metric != "paper":
        settings += f" --weights rh={preset.weights.rh:g},gh={preset.weights.gh:g}"
    elif preset.lambdas is not None:
        settings += f" --lambdas rh={preset.lambdas.rh:g},gh={preset.lambdas.gh:g}"
    return settings + (f" --precondition {preset.precondition:g}" if preset.precondition is not None else "")
