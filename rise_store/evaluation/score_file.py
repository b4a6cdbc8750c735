"""Score files: what any method says of any rows, for `rise-store eval scores`.

JSON Lines with a row for each query and example, in any order:

    {"query": "q1", "example": "row-7", "score": 0.31, "relevant": true}

or an .npz archive with `scores` (queries, rows), `relevant` of the same shape, and optionally `queries` (names).
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rise_store.corpus.formats import JsonLines
from rise_store.corpus.locations import path_problem
from rise_store.corpus.sources import RejectedRow
from rise_store.errors import InputError

_ROW = '{"query": ..., "example": ..., "score": 0.5, "relevant": true}'


@dataclass(frozen=True)
class ScoreFile:
    """Scores and labels of each query, (rows,) each; rows may differ from query to query."""

    queries: tuple[str, ...]
    scores: tuple[npt.NDArray[np.float64], ...]
    relevant: tuple[npt.NDArray[np.bool_], ...]
    examples: tuple[tuple[str, ...], ...] | None = None
    """Names of the rows of each query; None: the file names none."""


def read_scores(path: str | os.PathLike[str]) -> ScoreFile:
    """Read a score file; an .npz archive by its name, anything else as JSON Lines (`-`: standard input).

    Queries are in the order of their names, rows of a query in the order of the examples' names, so that files of two
    methods can be compared whatever the order of their lines.

    Raises:
        InputError: a file that cannot be read, or a row that is off, with its file and line.
    """
    return _read_npz(path) if os.fspath(path).endswith(".npz") else _read_jsonl(path)


def require_same_rows(file: ScoreFile, baseline: ScoreFile) -> None:
    """Refuse to compare scores unless both are of the same rows with the same labels, query by query.

    Where a file does not name its examples, their number and labels must agree.

    Raises:
        InputError: they are not; says for which query.
    """
    if file.queries != baseline.queries:
        raise InputError("the two files are not of the same queries in the same order; score the same in both")
    for number, query in enumerate(file.queries):
        own, other = file.relevant[number], baseline.relevant[number]
        names = [named.examples[number] for named in (file, baseline) if named.examples is not None]
        if len(own) != len(other) or len(set(names)) == 2:
            raise InputError(
                f"query {query[:60]!r}: the files do not score the same examples ({len(own):,} and {len(other):,}); "
                "compare methods on the same rows"
            )
        if not np.array_equal(own, other):
            raise InputError(
                f"query {query[:60]!r}: the files do not agree on which examples are relevant; "
                "compare methods on the same labels"
            )


def _read_jsonl(path: str | os.PathLike[str]) -> ScoreFile:
    rows: dict[str, dict[str, tuple[float, bool]]] = {}
    for row in JsonLines(path):
        if isinstance(row, RejectedRow):
            raise InputError(row.reason)
        query, example, score, relevant = _fields(row.fields, row.location)
        of_query = rows.setdefault(query, {})
        if example in of_query:
            raise InputError(
                f"{row.location}: query {query[:60]!r} has a score of {example[:60]!r} already; keep one of the two"
            )
        of_query[example] = (score, relevant)
    if not rows:
        raise InputError(f"{os.fspath(path)} holds no scores; give rows such as {_ROW}")
    examples = tuple(tuple(sorted(rows[query])) for query in sorted(rows))
    ordered = [[rows[query][example] for example in own] for query, own in zip(sorted(rows), examples, strict=True)]
    return ScoreFile(
        tuple(sorted(rows)),
        tuple(np.array([score for score, _ in of], dtype=np.float64) for of in ordered),
        tuple(np.array([relevant for _, relevant in of], dtype=np.bool_) for of in ordered),
        examples,
    )


def _fields(fields: Mapping[str, Any] | Any, location: str) -> tuple[str, str, float, bool]:
    if not isinstance(fields, Mapping):
        raise InputError(f"{location}: expected an object such as {_ROW}")
    missing = [name for name in ("query", "example", "score", "relevant") if fields.get(name) is None]
    if missing:
        raise InputError(f'{location}: "{missing[0]}" is missing; give rows such as {_ROW}')
    names = []
    for name in ("query", "example"):
        if isinstance(fields[name], bool) or not isinstance(fields[name], str | int):
            raise InputError(f'{location}: "{name}" is no string or integer')
        names.append(str(fields[name]))
    score, relevant = fields["score"], fields["relevant"]
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise InputError(f'{location}: "score" is no finite number')
    if relevant not in (True, False):
        raise InputError(f'{location}: "relevant" is neither true nor false')
    return names[0], names[1], float(score), bool(relevant)


def _read_npz(path: str | os.PathLike[str]) -> ScoreFile:
    name = os.fspath(path)
    if not os.path.exists(path):
        raise path_problem(path, FileNotFoundError())
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise InputError(f"{name}: is one array, no .npz archive; np.savez writes one")
        with loaded as archive:
            held = {key: archive[key] for key in ("scores", "relevant", "queries") if key in archive}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise InputError(f"{name}: cannot be read as an .npz archive: {error}") from error
    for key, array in held.items():
        if not isinstance(array, np.ndarray):  # numpy gives the bytes of a member that is none
            raise InputError(f"{name}: cannot be read as an .npz archive: its member {key} is no array")
    if "scores" not in held or "relevant" not in held:
        raise InputError(f"{name}: holds no arrays named scores and relevant, (queries, rows) both")
    scores, relevant = held["scores"], held["relevant"]
    if scores.ndim != 2 or scores.shape != relevant.shape or 0 in scores.shape:
        raise InputError(f"{name}: scores {scores.shape} and relevant {relevant.shape} are not (queries, rows) both")
    if scores.dtype.kind not in "fiu" or relevant.dtype.kind not in "bfiu" or not np.isin(relevant, (0, 1)).all():
        raise InputError(f"{name}: scores must be numbers, and relevant true or false (or 1 and 0)")
    names = held.get("queries", np.arange(1, len(scores) + 1))
    if names.shape != (len(scores),) or len(set(map(str, names))) < len(names):
        raise InputError(f"{name}: queries must be {len(scores)} different names")
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinite, which `evaluate` refuses
        values = scores.astype(np.float64)
    return ScoreFile(tuple(map(str, names)), tuple(values), tuple(relevant.astype(np.bool_)))
