"""Score files of any method."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rise_store import InputError
from rise_store.evaluation import ScoreFile, evaluate, read_scores, require_same_rows
from tests.ingest.examples import write_rows

ROW = {"query": "q1", "example": "a", "score": 0.5, "relevant": True}


def test_lines_in_any_order(tmp_path: Path) -> None:
    rows = [
        {"query": "q2", "example": "a", "score": 3, "relevant": 0},
        {"query": "q1", "example": "b", "score": -1.5, "relevant": False, "note": "more fields are passed over"},
        {"query": "q1", "example": "a", "score": 0.5, "relevant": True},
    ]
    for order in (rows, rows[::-1]):
        read = read_scores(write_rows(tmp_path / "s.jsonl", order))
        assert read.queries == ("q1", "q2")
        assert [scores.tolist() for scores in read.scores] == [[0.5, -1.5], [3]]
        assert [labels.tolist() for labels in read.relevant] == [[True, False], [False]]


@pytest.mark.parametrize("names", [None, ["q1", "q2"]])
def test_archives(tmp_path: Path, names: list[str] | None) -> None:
    arrays: dict[str, Any] = {"scores": np.eye(2, 3, dtype=np.float32), "relevant": np.eye(2, 3, dtype=np.int8)}
    np.savez(tmp_path / "s.npz", **arrays, **({} if names is None else {"queries": names}))
    read = read_scores(tmp_path / "s.npz")
    assert read.queries == tuple(names or ["1", "2"])
    assert [scores.tolist() for scores in read.scores] == [[1, 0, 0], [0, 1, 0]]
    assert read.relevant[0].dtype == bool


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "q1", "example": "b", "score": 1}, '"relevant" is missing'),
        (ROW | {"example": "b", "score": "high"}, '"score" is no finite number'),
        (ROW | {"example": "b", "score": True}, '"score" is no finite number'),
        (ROW | {"example": 1.5}, '"example" is no string or integer'),
        (ROW | {"example": "b", "relevant": "yes"}, '"relevant" is neither true nor false'),
        (ROW, "query 'q1' has a score of 'a' already"),
        (b"[1]", "expected an object"),
        (b"{", "JSON"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, row: Any, message: str) -> None:
    file = write_rows(tmp_path / "s.jsonl", [ROW, row])
    with pytest.raises(InputError, match=message) as refused:
        read_scores(file)
    assert str(refused.value).startswith(f"{file}:2: ")


def test_empty_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no scores"):
        read_scores(write_rows(tmp_path / "s.jsonl", []))
    for name in ("none.jsonl", "none.npz"):
        with pytest.raises(InputError, match=name):
            read_scores(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"scores": np.ones((2, 3))}, "no arrays named scores and relevant"),
        ({"scores": np.ones((2, 3)), "relevant": np.ones((3, 2))}, r"scores \(2, 3\) and relevant \(3, 2\)"),
        ({"scores": np.ones(3), "relevant": np.ones(3)}, r"not \(queries, rows\)"),
        ({"scores": np.ones((2, 3)), "relevant": np.full((2, 3), 2)}, "relevant true or false"),
        ({"scores": np.ones((1, 2)), "relevant": np.zeros((1, 2), "i4,i4")}, "relevant true or false"),
        ({"scores": np.full((1, 1), "x"), "relevant": np.ones((1, 1))}, "scores must be numbers"),
        ({"scores": np.ones((2, 3)), "relevant": np.ones((2, 3)), "queries": ["a", "a"]}, "2 different names"),
        ({"scores": np.ones((1, 1), object), "relevant": np.ones((1, 1))}, r"cannot be read as an .npz archive"),
    ],
)
def test_archives_that_are_off(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_scores(tmp_path / "s.npz")


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def one_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing", r"cannot be read as an .npz archive"),
        (b"", r"cannot be read as an .npz archive"),
        (one_array(), "is one array"),
        (zipped(scores=b"0.5", relevant=b"1"), "its member scores is no array"),
    ],
)
def test_a_file_that_is_no_archive(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_scores(tmp_path / "s.npz")


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(np.float64).max, reason="longdouble is float64 here")
def test_scores_that_float64_does_not_hold_are_refused_without_a_warning(tmp_path: Path) -> None:
    scores = np.array([[np.longdouble("1e400"), 2]])
    np.savez(tmp_path / "s.npz", scores=scores, relevant=np.ones((1, 2)))
    read = read_scores(tmp_path / "s.npz")
    with pytest.raises(InputError, match="query 1: a score is not finite"):
        evaluate(read.scores, read.relevant)


def test_only_scores_of_the_same_rows_and_labels_are_compared(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"example": "b", "relevant": False}]

    def of(*changed: dict[str, Any]) -> ScoreFile:
        return read_scores(write_rows(tmp_path / "s.jsonl", changed))

    require_same_rows(of(*rows), of(*(row | {"score": 3} for row in rows[::-1])))
    np.savez(tmp_path / "s.npz", scores=[[1.0, 2.0]], relevant=[[1, 0]], queries=["q1"])
    unnamed = read_scores(tmp_path / "s.npz")
    require_same_rows(of(*rows), unnamed)
    for other, message in (
        (
            of(rows[0], rows[1] | {"example": "c"}),
            r"query 'q1': the files do not score the same examples \(2 and 2",
        ),
        (of(rows[0]), r"the same examples \(2 and 1\)"),
        (of(rows[0], rows[1] | {"relevant": True}), "query 'q1': the files do not agree on which"),
        (of(*(row | {"query": "q2"} for row in rows)), "not of the same queries"),
    ):
        for baseline in (of(*rows), unnamed) if "(2 and 2" not in message else (of(*rows),):
            with pytest.raises(InputError, match=message):
                require_same_rows(baseline, other)
