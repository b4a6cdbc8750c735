"""What deleting, compacting, annotating, exporting, importing and migrating print."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store.cli.output import one_line
from rise_store.records import (
    AnnotateReport,
    CompactReport,
    DeleteReport,
    ExportReport,
    ImportReport,
    MigrationReport,
    TombstoneReport,
)


def print_deletion(out: Console, report: DeleteReport) -> None:
    """How many examples of which datasets, some of them, and what to do next."""
    by_dataset = ", ".join(f"{name} {count:,}" for name, count in report.datasets.items())
    out.print(Text(_matches(report.matched) + (f": {by_dataset}" if by_dataset else "")))
    if report.sample:
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for name, width in (("dataset", 18), ("licence", 14), ("example", 24)):
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=width, min_width=8)
        table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1, min_width=16)
        for example in report.sample:
            table.add_row(
                Text(example.dataset),
                Text(example.license or "-"),
                Text(example.example_id),
                Text(one_line(example.text or "-", 200)),
            )
        out.print(table)
    if report.dry_run:
        out.print("nothing deleted; add --yes")
    elif not report.matched:
        out.print("nothing deleted")
    else:
        out.print(f"{report.deleted:,} deleted; their bytes stay on disk until rise-store compact")
    if report.erasure is not None:
        out.print(f"tombstones {report.erasure}: {_examples(report.tombstones)} may not come back")
    if report.equal_elsewhere:
        out.print(f"kept, though of equal content: {_examples(report.equal_elsewhere)}")


def print_compaction(out: Console, report: CompactReport) -> None:
    """The size of each space before and after."""
    for space in report.spaces:
        sizes = f"{_size(space.before_bytes)} -> {_size(space.after_bytes)}"
        out.print(f"space {space.space}: {sizes}, {space.examples:,} examples")
    if not report.spaces:
        out.print("the store is empty: nothing to compact")


def print_annotation(out: Console, report: AnnotateReport) -> None:
    """How many examples changed."""
    changed = "would change; nothing was written" if report.dry_run else "changed"
    out.print(f"{_matches(report.matched)}: {report.changed:,} {changed}, {report.unchanged:,} had it already")


def print_export(out: Console, report: ExportReport) -> None:
    """Which file now holds how much."""
    line = f"{report.examples:,} examples of space {report.space} in {report.path}, {_size(report.size_bytes)}"
    out.print(Text(line), soft_wrap=True)


def print_import(out: Console, report: ImportReport) -> None:
    """How many rows went where."""
    rejected = f"; not stored: {report.rejected:,} rejected" if report.rejected else ""
    if report.refused:
        rejected += f"; {report.refused:,} refused, as they were erased"
    counts = f"{report.new:,} new, {report.replaced:,} replaced, {report.unchanged:,} unchanged{rejected}"
    out.print(Text(f"{report.source}: {counts}"), soft_wrap=True)
    created = ", created for them" if report.created_space else ""
    out.print(f"{report.stored:,} examples in space {report.space}{created}")


def print_migration(out: Console, report: MigrationReport) -> None:
    """What was copied and checked, space by space."""
    for space in report.spaces:
        out.print(f"space {space.space}: {space.copied:,} copied, {space.unchanged:,} there already")
        further = f"; {space.only_in_target:,} further ones in the target" if space.only_in_target else ""
        out.print(
            f"verified: {space.examples:,} examples, {space.checked:,} at random compared, largest error of a "
            f"signature {space.largest_error:.2g}{further}"
        )
        if space.refused:
            out.print(f"{space.refused:,} refused, as they were erased")
    if report.documents:
        out.print(f"{report.documents:,} documents of the catalogue copied")
    out.print(Text(f"{report.source} -> {report.target} in {report.seconds:.1f} s"), soft_wrap=True)


def _matches(count: int) -> str:
    return f"{count:,} example matches" if count == 1 else f"{count:,} examples match"


def _examples(count: int) -> str:
    return f"{count:,} example" if count == 1 else f"{count:,} examples"


def _size(size: int | None) -> str:
    return "unknown size" if size is None else f"{size / 2**20:,.1f} MiB"


def print_tombstones(out: Console, report: TombstoneReport) -> None:
    """The sets of tombstones, and what was lifted."""
    if report.sets:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("set", "erased at", "reason"):
            table.add_column(name, overflow="fold")
        table.add_column("examples", justify="right")
        for one in report.sets:
            table.add_row(one.id, one.erased_at, Text(one.reason or "-"), f"{one.examples:,}")
        out.print(table)
    else:
        out.print("no tombstones: nothing was erased")
    if report.lifted is not None:
        done = "would be lifted; add --yes" if report.dry_run else "lifted"
        out.print(f"tombstones {report.lifted.id}: {_examples(report.lifted.examples)}, {done}")
