"""What `verify`, `snapshot` and `restore` print for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store.records import SnapshotReport, VerifyReport


def print_verification(out: Console, report: VerifyReport) -> None:
    """The checks with their counts, then the problems with what to do."""
    out.print(Text(report.location, style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("space", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("checked", justify="right")
    table.add_column("problems", justify="right")
    table.add_column("", overflow="fold")
    for check in report.checks:
        table.add_row(
            Text(check.space or "-"), check.name, f"{check.checked:,}", f"{check.problems:,}", Text(check.note or "")
        )
    out.print(table)
    for problem in report.problems:
        separator = "" if problem.problem.startswith(problem.where) else f"{problem.where} "
        out.print(Text(f"{separator}{problem.problem}"), soft_wrap=True)
        out.print(Text(f"  {problem.remedy}", style="dim"), soft_wrap=True)
    hidden = report.count - len(report.problems)
    if hidden:
        out.print(f"... and {hidden:,} more")
    if not report.count:
        out.print("the store is whole")


def print_snapshot(out: Console, report: SnapshotReport) -> None:
    """What was copied."""
    spaces = f"{len(report.spaces)} space{'' if len(report.spaces) == 1 else 's'}"
    size = f"{report.files:,} files, {report.bytes / 2**20:,.1f} MiB with holes"
    out.print(Text(f"{report.source} → {report.target}: {spaces}, {size}, in {report.seconds:.1f} s"))
