"""The protocol of every method: index rows, then score all of them for queries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rise_store.errors import SignatureError
from rise_store.records import Example, Query

Array = npt.NDArray[np.float32]


class Method(Protocol):
    """A way to say which training rows matter for a query; a larger score means more."""

    @property
    def name(self) -> str:
        """How tables call it."""
        ...

    @property
    def bytes_per_row(self) -> float:
        """Bytes that the index keeps of a row, on average; known once `index` is done."""
        ...

    def index(self, rows: Sequence[Example]) -> None:
        """Compute once what is kept of the training rows.

        Raises:
            InputError: a row of fewer than 2 tokens, or a package that is not installed.
        """
        ...

    def scores(self, queries: Sequence[Query]) -> Array:
        """Scores of all indexed rows, (queries, rows) float32."""
        ...


@dataclass(frozen=True)
class MethodRun:
    """What a method answered, and what it cost."""

    scores: Array  # (queries, rows)
    index_seconds: float
    query_seconds: float  # of all queries together, encoding them included
    bytes_per_row: float


def run_method(method: Method, rows: Sequence[Example], queries: Sequence[Query]) -> MethodRun:
    """Index rows with a method, score them for queries, and take the time of both.

    Raises:
        SignatureError: a score is NaN or Inf.
    """
    started = time.perf_counter()
    method.index(rows)
    indexed = time.perf_counter()
    scores = method.scores(queries)
    done = time.perf_counter()
    if not np.isfinite(scores).all():
        raise SignatureError(f"method {method.name} gave NaN or Inf as a score; check the model's outputs")
    return MethodRun(scores, indexed - started, done - indexed, method.bytes_per_row)
