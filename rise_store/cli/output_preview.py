"""A preview as a table or JSON."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store.cli.output import console, echo_json, one_line
from rise_store.records import Preview


def echo_preview(preview: Preview, format_: str) -> None:
    """Print a preview as a table or as json."""
    if format_ == "json":
        echo_json(preview.model_dump(mode="json"))
        return
    out = console()
    _print_rows(out, preview)
    _print_fields(out, preview)
    for reject in preview.rejects:
        out.print(Text(f"not stored: {one_line(reject.reason, 400)}"), soft_wrap=True)
    behind = preview.rejected - len(preview.rejects) - sum(row.rejected is not None for row in preview.examples)
    if behind:
        out.print(f"not stored: {behind:,} more rows")
    out.print(Text(_totals(preview)), soft_wrap=True)
    if preview.stopped:
        out.print(Text(f"stopped: {preview.stopped}"), soft_wrap=True)


def _print_rows(out: Console, preview: Preview) -> None:
    if not preview.examples:
        return
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for name, width in (("row", 28), ("key", 20), ("licence", 12), ("metadata", 24)):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=width)
    if preview.model:
        table.add_column("tokens", justify="right", no_wrap=True)
        table.add_column("chunks", justify="right", no_wrap=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1, min_width=16)
    refused = []
    for row in preview.examples:
        if row.rejected is not None:
            refused.append(row.rejected)
            continue
        counts = (str(row.tokens), str(row.chunks)) if preview.model else ()
        table.add_row(
            Text(_end(row.location, 28)),
            Text(row.key or ""),
            Text(row.license or "-"),
            Text(", ".join(row.metadata) or "-"),
            *counts,
            Text(one_line(row.text, 200)),
        )
    if table.row_count:
        out.print(table)
    for reason in refused:
        out.print(Text(f"not stored: {one_line(reason, 400)}"), soft_wrap=True)
    out.print()


def _print_fields(out: Console, preview: Preview) -> None:
    if not preview.fields:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("field", overflow="fold")
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("becomes", overflow="fold")
    for field in preview.fields:
        table.add_row(Text(field.name), f"{field.rows:,}", Text(field.use or "nothing (left out)"))
    out.print(table)
    if preview.missing:
        out.print(Text(f"no row has the mapped fields {', '.join(preview.missing)}"), soft_wrap=True)
    out.print()


def _totals(preview: Preview) -> str:
    read = f"{preview.rows:,} rows" if preview.complete else f"the first {preview.rows:,} rows"
    parts = [f"{preview.usable:,} would be stored", f"{preview.rejected:,} not"]
    if preview.too_short:
        parts[-1] += f" ({preview.too_short:,} of them too short)"
    if preview.duplicates:
        parts.append(f"{preview.duplicates:,} repeat an earlier row")
    size = f"{preview.characters:,} characters"
    if preview.model:
        size += f", {preview.tokens:,} tokens in {preview.chunks:,} chunks"
    return f"{read}: {', '.join(parts)}; {size}"


def _end(text: str, limit: int) -> str:
    """The end of a location, which tells more than its beginning."""
    return text if len(text) <= limit else f"…{text[1 - limit :]}"
