"""Measures of answers, and what calibration chose, as tables, JSON, JSON Lines or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import click
from rich.table import Table
from rich.text import Text

from rise_store.cli.output import console, echo_json, echo_rows
from rise_store.records import CalibrationReport, Difference, Evaluation, Measure, Settings, StoreEvaluation
from rise_store.records.evaluation import measure_label

_COLUMNS = ("measure", "k", "value", "low", "high")


def echo_evaluation(evaluation: Evaluation, format_: str) -> None:
    """Print measures as table, json, jsonl or csv; jsonl has a line a measure, csv none of the single queries."""
    if format_ == "json":
        echo_json(evaluation.model_dump(mode="json"))
    elif format_ == "jsonl":
        echo_rows([measure.model_dump(mode="json") for measure in evaluation.measures], format_)
    elif format_ == "csv":
        _echo_csv(evaluation.measures)
    else:
        out = console()
        out.print(_table(evaluation.measures, "mean"))
        undefined = max(measure.undefined for measure in evaluation.measures)
        notes = [
            f"{evaluation.queries} queries, {evaluation.rows:,} examples, {evaluation.positives:,.1f} relevant a query"
        ]
        if isinstance(evaluation, StoreEvaluation):
            notes[0] += f" where {evaluation.where}" if evaluation.where else ""
            notes.append(describe_settings(evaluation))
        if undefined:
            notes.append(f"auroc leaves out up to {undefined} queries whose examples are all of one class")
        out.print(Text("; ".join(notes), style="dim"))


def echo_comparison(evaluation: Evaluation, differences: Sequence[Difference], format_: str) -> None:
    """Print how far one method is ahead of another, as table, json, jsonl or csv."""
    if format_ in ("json", "jsonl"):
        echo_rows([difference.model_dump(mode="json") for difference in differences], format_)
    elif format_ == "csv":
        _echo_csv(differences)
    else:
        out = console()
        out.print(_table(differences, "ahead by"))
        out.print(Text(f"{evaluation.queries} queries; intervals are of paired differences", style="dim"))


def echo_calibration(report: CalibrationReport, format_: str) -> None:
    """Print what calibration chose, as a table or as json."""
    if format_ == "json":
        echo_json(report.model_dump(mode="json"))
        return
    out = console()
    label, several = measure_label(report.measure, report.k), len(report.spaces) > 1
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("fold", justify="right")
    for name in ("queries", "default", "held out"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("chosen without these queries")
    for number, fold in enumerate(report.folds, 1):
        table.add_row(
            str(number),
            str(fold.queries),
            f"{fold.default:.4f}",
            f"{fold.value:.4f}",
            Text(describe_settings(fold.chosen, with_space=several)),
        )
    out.print(table)
    gain = report.gain
    out.print(
        Text(
            f"{label} of {report.queries} queries over {report.rows:,} examples: {report.default_value:.4f} by default, "
            f"{report.held_out_value:.4f} held out; gain {_signed(gain.value)} {_interval(gain, signed=True)}"
        ),
        soft_wrap=True,
    )
    out.print(
        Text(
            f"{report.tried} settings tried; {report.agreement} of {len(report.folds)} folds agree with all queries on "
            f"{describe_settings(report.candidate, with_space=several)}",
            style="dim",
        ),
        soft_wrap=True,
    )
    out.print(Text(f"chosen: {describe_settings(report.chosen, with_space=several)}"), soft_wrap=True)
    out.print(Text(f"because: {report.reason}"), soft_wrap=True)
    if report.preset is not None:
        out.print(Text(f"saved as preset {report.preset.name}; use it with --preset {report.preset.name}"))


def describe_settings(settings: Settings | StoreEvaluation, *, with_space: bool = False) -> str:
    """Settings as their options would state them."""
    parts = [f"metric {settings.metric}"]
    if settings.lambdas is not None:
        parts.append(f"lambdas rh={settings.lambdas.rh:g},gh={settings.lambdas.gh:g}")
    else:
        parts.append(f"weights rh={settings.weights.rh:g},gh={settings.weights.gh:g}")
    if settings.precondition is not None:
        parts.append(f"precondition {settings.precondition:g}")
    if with_space:
        parts.append(f"space {settings.space[:12]}")
    return ", ".join(parts)


def _table(measures: Sequence[Measure | Difference], value: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("measure", no_wrap=True)
    for name in (value, "95% interval"):
        table.add_column(name, justify="right", no_wrap=True)
    signed = any(isinstance(one, Difference) for one in measures)
    for one in measures:
        number = _signed(one.value) if signed else _plain(one.value)
        table.add_row(one.label, number, _interval(one, signed=signed))
    return table


def _echo_csv(measures: Sequence[Measure | Difference]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((one.name, one.k, one.value, one.low, one.high) for one in measures)
    click.echo(out.getvalue(), nl=False)


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _interval(of: Measure | Difference, *, signed: bool) -> str:
    write = _signed if signed else _plain
    return "-" if of.low is None else f"[{write(of.low)}, {write(of.high)}]"
