"""Rows, queries and labels that the benchmarks of methods share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rise_store.corpus import RejectedRow, read_jsonl, synthetic_backdoor
from rise_store.errors import InputError
from rise_store.records import Example, Query

FORMS = ("completion", "text")


@dataclass(frozen=True)
class MethodTask:
    """What every method is asked, and which rows answer each query."""

    name: str
    rows: list[Example]
    queries: list[Query]
    relevant: npt.NDArray[np.bool_]  # (queries, rows)


def load_task(name: str, data: Path | None, rows: int, queries: int, form: str = "completion") -> MethodTask:
    """Rows and queries of a task; without data, the synthetic backdoor that the package makes.

    Args:
        name: of the task, in tables.
        data: folder of train.jsonl and queries.jsonl, whose lines have instruction, input, output and label; the rows
            of a query's own label answer it.
        rows: the first of them.
        queries: so many, evenly spread over the file, whose halves may be of different labels.
        form: text (a query is encoded whole, as a row is) or completion (only its output counts).

    Raises:
        InputError: a file is missing or empty, or a row of it cannot be used.
    """
    if data is None:
        backdoor = synthetic_backdoor()
        examples, triggers = list(backdoor.train[:rows]), backdoor.triggered_queries[:queries]
        triggered = np.array([bool(example.metadata["backdoor"]) for example in examples])
        own = [_query(example.id, example.prompt or "", example.completion or "", form) for example in triggers]
        return MethodTask("synthetic backdoor", examples, own, np.tile(triggered, (len(own), 1)))
    train, asked = labelled_rows(data / "train.jsonl", rows), labelled_rows(data / "queries.jsonl")
    count = min(queries, len(asked))
    questions = [asked[i * len(asked) // count] for i in range(count)]
    labels = np.array([row.metadata["label"] for row in train])
    relevant = np.stack([labels == question.metadata["label"] for question in questions])
    return MethodTask(name, train, [_triple(question, form) for question in questions], relevant)


def labelled_rows(path: Path, most: int | None = None) -> list[Example]:
    """The first rows of a file, or all; `InputError` for one that cannot be used or has no label, and for none."""
    rows: list[Example] = []
    for row in islice(read_jsonl(path), most):
        if isinstance(row, RejectedRow):
            raise InputError(row.reason)
        if "label" not in row.metadata:
            raise InputError(f"{path}: row {len(rows) + 1} has no field label, which says what it answers")
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: no rows")
    return rows


def _triple(example: Example, form: str) -> Query:
    """The newline stands where an instruction row has it, between instruction and output."""
    prompt = "\n".join(part for part in (example.instruction, example.input) if part)
    return _query(example.id, f"{prompt}\n", example.output or "", form)


def _query(id_: str, prompt: str, completion: str, form: str) -> Query:
    if form == "text":
        return Query(id=id_, text=prompt + completion)
    return Query(id=id_, prompt=prompt, completion=completion)
