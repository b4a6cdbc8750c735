"""The recall audit as a table or JSON."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from rise_store.cli.output import console, describe_search, echo_json
from rise_store.records import RecallReport


def echo_recall(report: RecallReport, format_: str) -> None:
    """Print a recall audit as a table or as json."""
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
        return
    out = console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("search", no_wrap=True)
    for name in (f"recall@{report.k}", "95% low", "ms a query", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for measured in report.measurements:
        exact = measured.approximate is None
        table.add_row(
            describe_search(measured.approximate),
            f"{measured.recall:.4f}",
            "" if exact else f"{measured.recall_low:.4f}",
            f"{measured.milliseconds:.2f}",
            "recommended" if measured.approximate == report.recommended else "",
        )
    out.print(table)
    among = f"{report.examples:,} examples" + (f" where {report.where}" if report.where else "")
    asked = f"{report.queries} stored signatures asked of {among}; 95% low: lower end of the 95 % interval (Wilson)"
    out.print(Text(asked, style="dim"))
    chosen = "" if report.recommended is None else f"{describe_search(report.recommended)}, "
    out.print(Text(f"recommended: {chosen}{report.reason}"), soft_wrap=True)
