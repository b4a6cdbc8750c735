"""Rows, queries and labels that the benchmarks of methods share."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rise_store.corpus import synthetic_backdoor
from rise_store.records import Example, Query


@dataclass(frozen=True)
class MethodTask:
    """What every method is asked, and which rows answer each query."""

    name: str
    rows: list[Example]
    queries: list[Query]
    relevant: npt.NDArray[np.bool_]  # (queries, rows)


def load_task(name: str, data: Path | None, rows: int, queries: int) -> MethodTask:
    """The first `rows` and `queries` of a task; without data, the synthetic backdoor that the package makes.

    `data` holds train.jsonl and queries.jsonl, whose lines have instruction, input, output and label; the rows of a
    query's own label answer it.
    """
    if data is None:
        backdoor = synthetic_backdoor()
        examples, asked = list(backdoor.train[:rows]), backdoor.triggered_queries[:queries]
        triggered = np.array([bool(example.metadata["backdoor"]) for example in examples])
        own = [Query(id=example.id, prompt=example.prompt, completion=example.completion) for example in asked]
        return MethodTask("synthetic backdoor", examples, own, np.tile(triggered, (len(own), 1)))
    train = list(itertools.islice(_lines(data / "train.jsonl"), rows))
    questions = list(itertools.islice(_lines(data / "queries.jsonl"), queries))
    labels = np.array([line["label"] for line in train])
    relevant = np.stack([labels == line["label"] for line in questions])
    return MethodTask(name, [_row(line) for line in train], [_query(line) for line in questions], relevant)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _row(line: dict[str, Any]) -> Example:
    return Example(id=line["id"], instruction=line["instruction"], input=line["input"], output=line["output"])


def _query(line: dict[str, Any]) -> Query:
    """The newline stands where an instruction row has it, between instruction and output."""
    prompt = "\n".join(part for part in (line["instruction"], line["input"]) if part)
    return Query(id=line["id"], prompt=f"{prompt}\n", completion=line["output"])
