"""The tasks of the grid: rows, queries, and which rows each query should find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from method_tasks import labelled_rows

from rise_store.corpus import DEMO_QUESTIONS, python_reference, synthetic_backdoor
from rise_store.errors import InputError
from rise_store.records import Example, Query

Array = npt.NDArray[Any]
QUERY_FORMS = ("text", "completion")


@dataclass(frozen=True)
class Task:
    """What is searched, what is asked, and what is right."""

    name: str
    rows: list[str]
    queries: list[Query]
    relevant: Array  # (queries, rows) bool


def read_task(name: str, data: Path | None, rows: int, queries: int, form: str) -> Task:
    """One of the tasks by name, with at most so many rows and queries.

    Args:
        name: howdy, finmed (from files under `data`), reference or backdoor (of the demo, always whole).
        data: folder with `howdy/` and `finmed/`, each with `train.jsonl` and `queries.jsonl`.
        rows: the first of them.
        queries: likewise.
        form: text (a query is encoded whole, as a row is) or completion (only its output counts).

    Raises:
        InputError: `data` is missing, a file is missing or empty, or a row of it cannot be used.
    """
    if name in ("reference", "backdoor"):
        return _DEMO[name](form)
    if data is None:
        raise InputError(f"the task {name} needs --data FOLDER, which has {name}/train.jsonl and {name}/queries.jsonl")
    train = labelled_rows(data / name / "train.jsonl", rows)
    asked = labelled_rows(data / name / "queries.jsonl", queries)
    relevant = np.array([[row.metadata["label"] == query.metadata["label"] for row in train] for query in asked])
    return Task(name, [row.content for row in train], [_query(query, form) for query in asked], relevant)


def _query(example: Example, form: str) -> Query:
    """A row as a query: its content, or the same text with only the output counting."""
    if form == "text":
        return Query(id=example.id or "", text=example.content)
    prompt = "\n".join(part for part in (example.instruction, example.input) if part)
    return Query(id=example.id or "", prompt=f"{prompt}\n", completion=example.output)


def _reference(form: str) -> Task:
    rows = python_reference()
    queries = [_prompted(question.prompt, question.completion, form) for question in DEMO_QUESTIONS]
    topics = [question.topics for question in DEMO_QUESTIONS]
    relevant = np.array([[row.metadata["topic"] in wanted for row in rows] for wanted in topics])
    return Task("reference", [row.content for row in rows], queries, relevant)


def _backdoor(form: str) -> Task:
    backdoor = synthetic_backdoor()
    queries = [_prompted(query.prompt or "", query.completion or "", form) for query in backdoor.triggered_queries]
    triggered = [row.metadata["backdoor"] is True for row in backdoor.train]
    return Task("backdoor", [row.content for row in backdoor.train], queries, np.tile(triggered, (len(queries), 1)))


def _prompted(prompt: str, completion: str, form: str) -> Query:
    return Query(text=prompt + completion) if form == "text" else Query(prompt=prompt, completion=completion)


_DEMO: dict[str, Callable[[str], Task]] = {"reference": _reference, "backdoor": _backdoor}
TASKS = ("howdy", "finmed", *_DEMO)
