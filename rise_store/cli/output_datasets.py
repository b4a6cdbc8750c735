"""Datasets as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store.cli.output import one_line
from rise_store.records import RegisteredDataset

_NAMES = {
    "version": "version",
    "license": "licence",
    "license_uri": "text of the licence",
    "source_uri": "source",
    "issuer": "issuer",
    "origin": "origin",
    "legal_basis": "legal basis",
    "consent": "consent",
    "retention": "retention",
    "pii": "personal data",
}


def print_datasets(out: Console, datasets: Sequence[RegisteredDataset]) -> None:
    """One line a dataset."""
    if not datasets:
        out.print("no datasets: none was registered or ingested yet")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("dataset", "examples", "vanished", "versions", "licence", "last run"):
        table.add_column(name, justify="right" if name in ("examples", "vanished") else "left", overflow="fold")
    for known in datasets:
        table.add_row(
            Text(known.dataset.name),
            f"{known.examples:,}",
            f"{known.vanished:,}" if known.vanished else "-",
            Text(_versions(known)),
            Text(known.dataset.license or "-"),
            (known.last_run or "-")[:8],
        )
    out.print(table)


def print_dataset(out: Console, known: RegisteredDataset) -> None:
    """All that is known of a dataset."""
    dataset = known.dataset
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    rows = {label: getattr(dataset, name) for name, label in _NAMES.items()}
    period = dataset.collection_period
    rows["collected"] = f"{period.start or '?'} to {period.end or '?'}" if period else None
    rows["permitted uses"] = ", ".join(dataset.permitted_uses)
    rows["examples"] = f"{known.examples:,}" + (f", of which {known.vanished:,} vanished" if known.vanished else "")
    rows["stored versions"] = _versions(known)
    rows["registered"] = known.registered_at or "never; its examples were stored without"
    rows["changed"] = known.updated_at if known.updated_at != known.registered_at else None
    rows["last run"] = known.last_run
    out.print(Text(dataset.name, style="bold"))
    for label, value in rows.items():
        if value:
            table.add_row(label, Text(value))
    out.print(table)


def _versions(known: RegisteredDataset) -> str:
    counts = dict(known.versions)
    without = known.examples - sum(counts.values())
    if without > 0:
        counts["(none)"] = without
    return one_line(", ".join(f"{version}: {count:,}" for version, count in counts.items()) or "-", 200)
