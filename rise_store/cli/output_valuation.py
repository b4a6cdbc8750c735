"""Values, selections, self-influence and near-duplicates as tables, JSON, JSON Lines and CSV."""

from __future__ import annotations

import csv
import heapq
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import numpy as np
import orjson
from rich.table import Table
from rich.text import Text

from rise_store.cli.output import console, echo_json, one_line
from rise_store.records import (
    CandidateValue,
    DuplicateCluster,
    KnownExample,
    SelectedExample,
    Selection,
    SelfInfluence,
    ValueBy,
)

SHOWN = 10  # best and worst candidates in a table
SAMPLED = 10_000  # values that the quantiles of a table are taken from, at random where there are more
_EXAMPLE = ("example_id", "dataset", "dataset_version", "license", "source_uri", "tokens", "text", "metadata")


def echo_values(values: Iterable[CandidateValue], by: ValueBy, format_: str) -> None:
    """Print values as they come; a table shows the best, the worst and how values are distributed."""
    if format_ == "json":
        echo_json([value_json(one) for one in values])
    elif format_ == "jsonl":
        for one in values:
            click.echo(orjson.dumps(value_json(one)).decode())
    elif format_ == "csv":
        rows = ({"value": one.value, **_channels(one), "scores": _list(one.scores)} | _fields(one) for one in values)
        _echo_csv(("value", "rh", "gh", "scores", *_EXAMPLE), rows)
    else:
        _print_values(values, by)


def echo_selection(selection: Selection, format_: str) -> None:
    """Print a selection: as JSON Lines the rows themselves, ready for training."""
    if format_ == "jsonl":
        for row in selection.training_rows():
            click.echo(orjson.dumps(row).decode())
    elif format_ == "json":
        echo_json(selection.model_dump(mode="json"))
    elif format_ == "csv":
        rows = (
            {"rank": one.rank, "value": one.value} | _fields(one) | {"text": _text(one)} for one in selection.examples
        )
        _echo_csv(("rank", "value", *_EXAMPLE), rows)
    else:
        table = _table("#", "value", "tokens")
        for one in selection.examples:
            table.add_row(str(one.rank), f"{one.value:.4f}", f"{one.tokens or 0:,}", *_origin(one), _short(_text(one)))
        out = console()
        out.print(table)
        out.print(Text(
            f"{len(selection.examples):,} of {selection.candidates:,} candidates, {selection.used_tokens:,} tokens, by "
            f"{selection.strategy} over {selection.targets:,} targets; {selection.pool:,} were held to choose from\n",
            style="dim",
        ))  # fmt: skip


def describe_selection(selection: Selection) -> str:
    """How much was chosen, of how much, on one line."""
    chosen, budget = len(selection.examples), "" if selection.tokens is None else f" of {selection.tokens:,}"
    line = f"{chosen:,} of {selection.candidates:,} candidates, {selection.used_tokens:,}{budget} tokens"
    if selection.k is not None and chosen < selection.k:
        fields = ", ".join(dict.fromkeys(limit.field for limit in selection.limits))
        line += f"; {selection.k:,} were asked for" + (f", within limits on {fields}" if fields else "")
    return line


def echo_self_influence(found: Sequence[SelfInfluence], format_: str) -> None:
    """Print rows with their self-influence, in order."""
    if _echo_records(found, format_):
        return
    if format_ == "csv":
        columns = ("adjusted", "self_influence", "loss", "positions", "typicality")
        _echo_csv(
            (*columns, *_EXAMPLE), ({name: getattr(one, name) for name in columns} | _fields(one) for one in found)
        )
        return
    table = _table("adjusted", "self-influence", "loss", "tokens", "typicality")
    for one in found:
        typicality = "-" if one.typicality is None else f"{one.typicality:.3f}"
        lengths = (f"{one.adjusted:.4g}", f"{one.self_influence:.4g}")
        numbers = (*lengths, f"{one.loss:.3f}", f"{one.positions:,}", typicality)
        table.add_row(*numbers, *_origin(one), _short(one.text))
    out = console()
    out.print(table)
    legend = "self-influence: squared length of the loss gradient; adjusted: that times tokens; loss: nats a token\n"
    legend += "typicality: mean cosine with the other stored examples of its dataset; low is unlike them\n"
    out.print(Text(legend, style="dim"))


def echo_clusters(clusters: Sequence[DuplicateCluster], format_: str) -> None:
    """Print clusters of near-duplicates, largest first."""
    if _echo_records(clusters, format_):
        return
    if format_ == "csv":
        rows = (
            {"cluster": number, "representative": place == 0, "similarity": one.similarity} | _fields(one)
            for number, cluster in enumerate(clusters, 1)
            for place, one in enumerate((cluster.representative, *cluster.others))
        )
        _echo_csv(("cluster", "representative", "similarity", *_EXAMPLE), rows)
        return
    out = console()
    table = _table("cluster", "cosine")
    for number, cluster in enumerate(clusters, 1):
        table.add_row(str(number), "keep", *_origin(cluster.representative), _short(cluster.representative.text))
        for one in cluster.others[:SHOWN]:
            table.add_row("", f"{one.similarity:.4f}", *_origin(one), _short(one.text))
        if len(cluster.others) > SHOWN:
            table.add_row("", "", f"and {len(cluster.others) - SHOWN:,} more")
    if clusters:
        out.print(table)
    spare = sum(cluster.size - 1 for cluster in clusters)
    what = "1 cluster" if len(clusters) == 1 else f"{len(clusters):,} clusters"
    out.print(Text(f"{what}; {spare:,} examples could go, if one of each stays\n", style="dim"))


def value_json(one: CandidateValue) -> dict[str, Any]:
    """The JSON form of a value; texts and scores of targets stand in it where they were asked for."""
    return one.model_dump(mode="json", exclude={name for name in ("text", "scores") if getattr(one, name) is None})


def _print_values(values: Iterable[CandidateValue], by: ValueBy) -> None:
    best: list[tuple[float, int, CandidateValue]] = []
    worst: list[tuple[float, int, CandidateValue]] = []
    sample: list[float] = []
    draw = np.random.default_rng(0)
    count, total, squares = 0, 0.0, 0.0
    for one in values:
        for heap, sign in ((best, 1), (worst, -1)):
            entry = (sign * one.value, -count, one)
            if len(heap) < SHOWN:
                heapq.heappush(heap, entry)
            elif entry[:2] > heap[0][:2]:
                heapq.heapreplace(heap, entry)
        if count < SAMPLED:
            sample.append(one.value)
        elif (place := int(draw.integers(0, count + 1))) < SAMPLED:
            sample[place] = one.value
        count, total, squares = count + 1, total + one.value, squares + one.value**2
    out = console()
    if not count:
        out.print("no candidates")
        return
    table = _table("value", "RH", "GH", "tokens")
    top = [one for _, _, one in sorted(best, key=lambda entry: entry[:2], reverse=True)]
    known = {id(one) for one in top}
    bottom = [one for _, _, one in sorted(worst, key=lambda entry: entry[:2]) if id(one) not in known]
    for one in top:
        table.add_row(*_value_row(one))
    if bottom:
        table.add_section()
    for one in bottom:
        table.add_row(*_value_row(one))
    out.print(table)
    mean = total / count
    spread = max(squares / count - mean**2, 0.0) ** 0.5
    quantiles = np.quantile(sample, (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0))
    named = zip(("min", "10%", "25%", "median", "75%", "90%", "max"), quantiles, strict=True)
    about = "" if count <= SAMPLED else f" (quantiles of {SAMPLED:,} at random)"
    shown = "" if count <= 2 * SHOWN else f"; shown are the best and the worst {SHOWN}"
    out.print(Text(
        f"{count:,} candidates by {by}: mean {mean:.4f}, deviation {spread:.4f}; "
        f"{', '.join(f'{name} {value:.4f}' for name, value in named)}{about}{shown}\n",
        style="dim",
    ))  # fmt: skip


def _value_row(one: CandidateValue) -> tuple[Any, ...]:
    channels = one.channels
    parts = ("-", "-") if channels is None else (f"{channels.rh:.4f}", f"{channels.gh:.4f}")
    return (f"{one.value:.4f}", *parts, f"{one.tokens or 0:,}", *_origin(one), _short(one.text))


def _table(*numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name, width in (("dataset", 18), ("licence", 14), ("example", 24)):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=width, min_width=7)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1, min_width=16)
    return table


def _origin(one: KnownExample) -> tuple[Text, Text, Text]:
    return Text(one.dataset or "-"), Text(one.license or "-"), Text(one.example_id)


def _short(text: str | None) -> Text:
    return Text(one_line(text or "-", 400))


def _text(one: SelectedExample) -> str | None:
    text = one.record.get("text")
    if isinstance(text, str):
        return text
    parts = [one.record.get(name) for name in ("prompt", "instruction", "input", "completion", "output")]
    return " ".join(part for part in parts if isinstance(part, str)) or None


def _echo_records(records: Sequence[SelfInfluence] | Sequence[DuplicateCluster], format_: str) -> bool:
    if format_ == "json":
        echo_json([one.model_dump(mode="json") for one in records])
    elif format_ == "jsonl":
        for one in records:
            click.echo(orjson.dumps(one.model_dump(mode="json")).decode())
    return format_ in ("json", "jsonl")


def _channels(one: CandidateValue) -> dict[str, float | None]:
    return {"rh": None, "gh": None} if one.channels is None else one.channels.model_dump()


def _list(scores: tuple[float, ...] | None) -> str | None:
    return None if scores is None else orjson.dumps(scores).decode()


def _fields(one: KnownExample) -> dict[str, Any]:
    fields = {name: getattr(one, name) for name in _EXAMPLE}
    return fields | {"metadata": orjson.dumps(one.metadata).decode()}


def _echo_csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as they come."""
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
