"""Evaluations on tasks as tables for people."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store.records.evaluation import Measure
from rise_store.records.tasks import TaskReport, TaskResult

_SHORT = {"auprc": "auPRC", "precision": "P", "auroc": "auROC", "average_precision": "AP"}


def print_task(out: Console, report: TaskReport) -> None:
    """What was evaluated, then a table for each group of queries: measures with 95 % intervals by setting."""
    data = report.data
    labels = ", ".join(f"{number:,} {label}" for label, number in data.labels.items())
    licenses = ", ".join(f"{number:,} {license_}" for license_, number in data.licenses.items())
    out.print(Text(report.title, style="bold"))
    out.print(Text(f"{data.rows:,} rows ({labels}) of {data.folder}; {data.left_out:,} too short"))
    out.print(Text(f"licences of rows and queries: {licenses}"))
    config = report.estimator
    out.print(
        Text(
            f"{report.model}, {report.dtype}, space {report.space[:8]}: tau {config.tau:g}, lambdas "
            f"{config.lambda_rh:g}/{config.lambda_gh:g}, {config.position_weighting} positions, {config.dim:,} "
            f"coordinates; queries as {report.query_form}"
        )
    )
    for _, group in groupby(report.results, key=lambda result: result.queries):
        _print_group(out, list(group))
    for setting in report.settings:
        parts: list[str] = [setting.metric]
        if setting.lambdas is not None:
            parts.append(f"lambdas {setting.lambdas.rh:g}/{setting.lambdas.gh:g}")
        if setting.precondition is not None:
            parts.append(f"preconditioned, alpha {setting.precondition:g}")
        out.print(Text(f"{setting.name}: {', '.join(parts)}"))
    out.print(Text("length: no model; rows as long as the query rank high"))
    done = f"{report.tokens:,} tokens encoded" if report.tokens else "every row was stored already"
    out.print(Text(f"{report.seconds:.0f} s, {report.ingest_seconds:.0f} s of them to store the rows ({done})"))
    out.print(Text(f"store: {report.store}"))


def _print_group(out: Console, results: list[TaskResult]) -> None:
    first = results[0]
    evaluation = first.evaluation
    asked = f"the mean of {first.mean_of:,} queries" if first.mean_of else f"{evaluation.queries:,} queries"
    wanted = "rows of the query's own label" if first.positives == "own" else f"{first.positives} rows"
    title = f"{first.queries}: {asked}, right are {wanted} ({first.chance:.3f} of all, which is chance)"
    out.print(Text(f"\n{title}"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("setting")
    shown = [one.label for name in ("auprc", "precision") for one in evaluation.measures if one.name == name]
    shown += [one.label for one in evaluation.measures if one.k is None]
    for label in shown:
        name, at, k = label.partition("@")
        table.add_column(f"{_SHORT[name]}{at}{k}", justify="right", no_wrap=True)
    for result in results:
        measures = {one.label: one for one in result.evaluation.measures}
        table.add_row(result.setting, *(_cell(measures[label]) for label in shown))
    out.print(table)


def _cell(measure: Measure) -> Text:
    """The value, and its interval on a second line."""
    value = "-" if measure.value is None else f"{measure.value:.3f}"
    if measure.low is None or measure.high is None:
        return Text(value)
    return Text.assemble(value, "\n", (f"{measure.low:.2f}-{measure.high:.2f}", "dim"))
