"""What a task is: training examples with labels, queries, and which labels are right for which query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rise_store.corpus import read_jsonl
from rise_store.corpus.sources import RejectedRow
from rise_store.digests import file_sha256, json_sha256
from rise_store.errors import ConfigError, InputError
from rise_store.licenses import canonical_license
from rise_store.records import Example, Query

TRAIN_FILE = "train.jsonl"

QueryForm = Literal["text", "completion"]

Row = dict[str, str]
TaskFiles = Mapping[str, Sequence[Row]]
"""Rows of each file of a data folder, by file name."""


@dataclass(frozen=True)
class QueryGroup:
    """Queries of a task that are judged by one rule."""

    name: str
    file: str  # in the data folder
    positives: str | None  # label of the rows that are right; None: the query's own label
    mean: bool = False  # asked once, by the mean of their signatures
    optional: bool = False  # whether a data folder may lack the file


@dataclass(frozen=True)
class Task:
    """A task of the RISE paper (arXiv 2604.16197)."""

    name: str
    title: str
    labels: tuple[str, ...]
    groups: tuple[QueryGroup, ...]
    generate: Callable[[int, int], TaskFiles]  # from a number of training rows and a seed


@dataclass(frozen=True)
class TaskData:
    """The data of a task, as its folder holds it."""

    task: Task
    folder: Path
    train: tuple[Example, ...]
    queries: Mapping[str, tuple[Example, ...]]  # by the name of the group
    train_sha256: str
    """Of the whole training file, however many of its rows are used."""

    @property
    def sha256(self) -> str:
        """Digest of what is used: keys, texts and labels of the training rows and of the queries."""
        parts: dict[str, Sequence[Example]] = {TRAIN_FILE: self.train, **self.queries}
        return json_sha256(
            {name: [[row.key, row.content_sha256, label_of(row)] for row in rows] for name, rows in parts.items()}
        )

    @property
    def dataset(self) -> str:
        """Name of the training rows as a dataset of a store: other files have another one."""
        return f"{self.task.name}-{self.train_sha256[:8]}"

    def relevant(self, group: QueryGroup, rows: Sequence[Example]) -> npt.NDArray[np.bool_]:
        """Which rows are right for which query of a group, (rows, queries); a mean is one query."""
        wanted = [group.positives or label_of(query) for query in self.queries[group.name]]
        labels = np.array([label_of(row) for row in rows])
        return np.asarray(labels[:, None] == np.array(wanted[:1] if group.mean else wanted)[None, :])


def label_of(example: Example) -> str:
    """The label of a row or query."""
    return str(example.metadata["label"])


def as_query(example: Example, form: QueryForm) -> Query:
    """A query row as it is asked.

    Args:
        example: text, prompt with completion, or instruction triple.
        form: `text` encodes the whole text as a training row is encoded; `completion` lets only positions of the
            completion (of an instruction triple: of its output) count.
    """
    if form == "completion":
        if example.instruction is not None and example.output:
            asked = "\n".join(part for part in (example.instruction, example.input) if part)
            return Query(id=example.id, prompt=f"{asked}\n".lstrip(), completion=example.output.rstrip())
        if example.completion and not example.text:
            return Query(id=example.id, prompt=example.prompt or "", completion=example.completion)
    return Query(id=example.id, text=example.content)


def check_form(data: TaskData, form: QueryForm) -> None:
    """`ConfigError` where completions are asked for and no query of a group has one."""
    if form == "completion":
        for name, queries in data.queries.items():
            if all(as_query(query, form).completion is None for query in queries):
                raise ConfigError(
                    f"no query of {data.task.name}'s group {name} has a completion, so query form completion would "
                    "change nothing; leave it out"
                )


def load_task(task: Task, folder: str | Path, *, rows: int | None = None, queries: int | None = None) -> TaskData:
    """The data of a task from its folder, which `write_task` or anyone else made.

    Args:
        task: which one.
        folder: holds `train.jsonl` and the query files; rows as for `rise-store ingest`, each with a `label`.
        rows: how many training rows to use, from the first; all by default.
        queries: how many queries of each group to use, from the first; all by default.

    Raises:
        InputError: a file that is missing or empty, a row that cannot be used, has no label or one that the task does
            not have, or states a licence that SPDX does not know.
        ConfigError: rows that hold no example of one of the labels.
    """
    folder = Path(folder)
    for group in task.groups:
        if not (folder / group.file).is_file() and not group.optional:
            raise InputError(
                f"{folder} lacks {group.file}, which task {task.name} needs; "
                f"make data with: rise-store eval data {task.name} DIR"
            )
    path = folder / TRAIN_FILE
    train = _read(task, path, rows)
    missing = sorted(set(task.labels) - {label_of(row) for row in train})
    if missing:
        raise ConfigError(
            f"{path}: the first {len(train):,} rows hold no {' or '.join(missing)}; use more rows, or other data"
        )
    asked = {
        group.name: _read(task, folder / group.file, queries)
        for group in task.groups
        if (folder / group.file).is_file()
    }
    return TaskData(task, folder, train, asked, file_sha256(path))


def _read(task: Task, path: Path, most: int | None) -> tuple[Example, ...]:
    examples: list[Example] = []
    for row in read_jsonl(path):
        if most is not None and len(examples) == most:
            break
        if isinstance(row, RejectedRow):
            raise InputError(row.reason)
        label = row.metadata.get("label")
        if label not in task.labels:
            raise InputError(f'{row.location}: "label" is {label!r:.60}; task {task.name} has {", ".join(task.labels)}')
        if row.license is not None and canonical_license(row.license) is None:
            raise InputError(f"{row.location}: SPDX knows no licence {row.license[:60]!r}")
        examples.append(row)
    if not examples:
        raise InputError(f"{path} holds no rows")
    return tuple(examples)


def count(values: Sequence[Any]) -> dict[str, int]:
    """How often each value occurs, the most frequent first; what is None is left out."""
    counts: dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[str(value)] = counts.get(str(value), 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
