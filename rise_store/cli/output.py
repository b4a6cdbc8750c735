"""Results as tables for people, and as JSON, JSON Lines or CSV for programs."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store.cli import output_stability
from rise_store.profiles import describe_storage
from rise_store.records import (
    ApproximateSearch,
    Attribution,
    AttributionGroups,
    AttributionResult,
    IngestReport,
    Query,
    QuerySet,
    SpaceInfo,
    StoreInfo,
)

Json = dict[str, Any]
CSV_COLUMNS = (
    "query", "rank", "score", "rh", "gh", "example_id", "dataset", "dataset_version", "license", "source_uri", "tokens",
    "text", "metadata",
)  # fmt: skip
_WORDS = 46  # least columns of dataset, licence, example and text in the table of an answer


def console() -> Console:
    """A console for standard output that is as wide as the terminal, or 120 columns where there is none."""
    width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
    return Console(file=sys.stdout, width=width, highlight=False)


def echo_json(value: Any) -> None:
    """One JSON document, indented."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def echo_rows(rows: Any, format_: str) -> None:
    """Records as one JSON document, or for `jsonl` each on a line of its own."""
    if format_ != "jsonl":
        echo_json(rows)
        return
    for row in rows if isinstance(rows, list) else [rows]:
        click.echo(orjson.dumps(row).decode())


def result_json(result: AttributionResult) -> Json:
    """The JSON form of one answer; channels, dataset and licence stand under the names of the payload."""
    return result.model_dump(mode="json")


def echo_results(results: Sequence[AttributionResult], format_: str, *, many: bool) -> None:
    """Print answers.

    Args:
        results: one a query.
        format_: table, json, jsonl or csv.
        many: whether the queries came from a file: their JSON is a list, even of one.
    """
    if format_ == "json":
        echo_json([result_json(result) for result in results] if many else result_json(results[0]))
    elif format_ == "jsonl":
        for result in results:
            click.echo(orjson.dumps(result_json(result)).decode())
    elif format_ == "csv":
        click.echo(_csv(results), nl=False)
    else:
        out = console()
        for result in results:
            print_result(out, result)


def print_result(out: Console, result: AttributionResult) -> None:
    """One answer as a table: rank, score, each channel's share of it, where the example is from, its text."""
    print_query(out, result.query)
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    more = () if result.stability is None else output_stability.COLUMNS
    numbers = [
        (
            str(hit.rank),
            f"{hit.score:.4f}",
            *shares(hit),
            *(() if result.stability is None else output_stability.cells(hit, result.stability)),
        )
        for hit in result.results
    ]
    names = ("#", "score", "RH", "GH", *more)
    widths = [max(2, *map(len, column)) for column in zip(names, *numbers, strict=True)]
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    if out.width < sum(widths) + 2 * len(widths) + _WORDS:
        _print_narrow(out, table, numbers, result.results)
    else:
        for name, width in (("dataset", 18), ("licence", 14), ("example", 24)):
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=width, min_width=8)
        table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1, min_width=16)
        for row, hit in zip(numbers, result.results, strict=True):
            origin = Text(hit.dataset), Text(hit.license or "-"), Text(hit.example_id)
            table.add_row(*row, *origin, Text(one_line(hit.text or "-", 400)))
        out.print(table)
    among = f"of {result.candidates} examples" + (f" where {result.where}" if result.where else "")
    shown = f"{len(result.results)} {among}{how_searched(result)}"
    out.print(Text(f"{shown}; RH and GH are each channel's share of the score", style="dim"))
    if result.stability is not None:
        output_stability.print_stability(out, result.stability)
    out.print()


def _print_narrow(out: Console, table: Table, numbers: Sequence[tuple[str, ...]], hits: Sequence[Attribution]) -> None:
    """Numbers are never cut: dataset and licence give way, and each text stands on a line of its own."""
    table.add_column("example", no_wrap=True, overflow="ellipsis", ratio=1, min_width=8)
    for row, hit in zip(numbers, hits, strict=True):
        table.add_row(*row, Text(hit.example_id))
    with out.capture() as captured:
        out.print(table)
    header, *lines = captured.get().splitlines()
    out.print(Text.from_ansi(header))
    for line, hit in zip(lines, hits, strict=True):
        out.print(Text.from_ansi(line))
        out.print(Text(f"    {one_line(hit.text or '-', 400)}"), no_wrap=True, overflow="ellipsis")


def print_query(out: Console, query: Query | QuerySet) -> None:
    """What was asked, on one line."""
    if isinstance(query, QuerySet):
        asked = f"{len(query.queries)} queries, fused by {query.fusion}"
    else:
        asked = query.text if query.text is not None else f"{query.prompt or ''} → {query.completion}"
        asked += "" if query.against is None else f" (against {query.against})"
    out.print(Text(f"{query.id}: {one_line(asked, 400)}" if query.id else one_line(asked, 400), style="bold"))


def how_searched(answer: AttributionResult | AttributionGroups) -> str:
    """What is not the default of an answer's search, to stand behind its count."""
    notes = []
    if answer.min_score is not None:
        notes.append(f"scores of {answer.min_score:g} and more")
    if answer.metric != "dot":
        lambdas = answer.lambdas
        notes.append(f"metric {answer.metric}" + (f" (rh={lambdas.rh:g},gh={lambdas.gh:g})" if lambdas else ""))
    if answer.precondition is not None:
        notes.append(f"preconditioned, alpha {answer.precondition:g}")
    if answer.preset is not None:
        notes.append(f"preset {answer.preset}")
    if answer.approximate is not None:
        notes.append(f"approximate: {describe_search(answer.approximate)}")
    return "".join(f", {note}" for note in notes)


def describe_search(approximate: ApproximateSearch | None) -> str:
    """A way to search, in words."""
    if approximate is None:
        return "exact"
    if approximate.method == "quantized":
        return f"quantized, oversampling {approximate.oversampling:g}"
    return "hnsw" if approximate.ef is None else f"hnsw, ef {approximate.ef}"


def shares(hit: Attribution) -> tuple[str, str]:
    """Each channel's share of a score, per cent; they add up to 100 and one of them may be negative."""
    if hit.score == 0:
        return "-", "-"
    rh = 100 * hit.channels.rh / hit.score
    return f"{rh:.0f}%", f"{100 - round(rh):.0f}%"


def one_line(text: str, limit: int) -> str:
    """A text on one line, cut to `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def print_report(out: Console, report: IngestReport) -> None:
    """The summary of an ingestion."""
    stored = f"{report.new} new, {report.replaced} replaced, {report.updated} updated, {report.unchanged} unchanged"
    if report.recovered:
        stored += f", {report.recovered} stored before the run was cut off"
    left_out = [
        f"{count} {name}"
        for name, count in (
            ("too short (under 2 tokens)", report.too_short),
            ("rejected", report.rejected - report.too_short - report.refused),
            ("erased earlier, which may not come back", report.refused),
            ("repeated in their file", report.duplicates),
        )
        if count
    ]
    out.print(Text(f"{report.dataset}: {stored}" + (f"; not stored: {', '.join(left_out)}" if left_out else "")))
    if report.tokens:
        out.print(f"{report.tokens:,} tokens in {report.seconds:.1f} s, {report.tokens_per_second:,.0f} tokens/s")
    if report.vanished:
        out.print(f"{report.vanished:,} examples of earlier versions are marked as vanished")
    out.print(f"{report.stored:,} examples in space {report.space}")


def print_info(out: Console, info: StoreInfo) -> None:
    """What a store holds."""
    out.print(Text(info.location, style="bold"))
    if not info.spaces:
        out.print("empty: no corpus was ingested yet")
    for held in info.spaces:
        space, estimator = held.space, held.space.estimator
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        rows = [
            ("space", space.fingerprint),
            ("model", f"{space.model.name} ({space.architecture}, {space.model.dtype})"),
            ("head", f"{space.vocabulary_size:,} x {space.hidden_size}"),
            (
                "signature",
                f"{space.dim:,} coordinates: RH {estimator.kr} x {estimator.kh}, GH {estimator.kg} x {estimator.kh}",
            ),
            ("estimator", ", ".join(f"{name} {value}" for name, value in estimator.model_dump().items())),
            ("profile", describe_storage(space)),
            ("examples", f"{held.examples:,}"),
            ("size", _size(held)),
            ("live rows", f"about {held.logical_bytes / 2**20:,.1f} MiB{_rest(held)}"),
            ("datasets", _counts(held.datasets)),
            ("licences", _counts(held.licenses | _missing(held.examples, held.licenses))),
            ("created", f"{space.created_at} with rise_store {space.created_with}"),
        ]
        for name, value in rows:
            table.add_row(name, Text(value))
        out.print(table)
    if info.catalogue_bytes:
        out.print(f"catalogue of datasets, runs, receipts and tombstones: {info.catalogue_bytes / 2**20:,.1f} MiB")


def _size(held: SpaceInfo) -> str:
    if held.size_bytes is None:
        return "known to the server alone"
    per_row = f", {held.size_bytes / held.examples / 1024:.1f} KiB each" if held.examples else ""
    return f"{held.size_bytes / 2**20:,.1f} MiB{per_row}"


def _rest(held: SpaceInfo) -> str:
    return "" if held.size_bytes is None else "; the rest is indexes, logs and deleted rows"


def _missing(examples: int, licenses: dict[str, int]) -> dict[str, int]:
    missing = examples - sum(licenses.values())
    return {"(none)": missing} if missing > 0 else {}


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "-"


def _csv(results: Sequence[AttributionResult]) -> str:
    out = io.StringIO()
    more = output_stability.FIELDS if any(result.stability is not None for result in results) else ()
    writer = csv.DictWriter(out, CSV_COLUMNS + more, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for number, result in enumerate(results, 1):
        for hit in result.results:
            row = hit.model_dump(mode="json") | hit.channels.model_dump() | output_stability.fields(hit)
            row["metadata"] = orjson.dumps(hit.metadata).decode()
            writer.writerow(row | {"query": result.query.id or number})
    return out.getvalue()
