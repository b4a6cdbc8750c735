"""Rankings that do not look at the query: whatever does not beat them has found nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rise_store.evaluation.baselines.method import Array
from rise_store.records import Example, Query

if TYPE_CHECKING:
    from rise_store.evaluation.baselines.model import LanguageModel


class LossRanking:
    """Rows by their own loss a token: what the model finds hardest first."""

    name = "loss"
    bytes_per_row = 4.0  # one float32

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._losses = np.zeros(0, np.float32)

    def index(self, rows: Sequence[Example]) -> None:
        """One forward pass over the rows."""
        self._losses = self._model.losses(self._model.rows(rows)).astype(np.float32)

    def scores(self, queries: Sequence[Query]) -> Array:
        """The same losses for every query."""
        return np.tile(self._losses, (len(queries), 1))


class Length:
    """Rows by their number of characters, longest first."""

    name = "length"
    bytes_per_row = 4.0

    def __init__(self) -> None:
        self._lengths = np.zeros(0, np.float32)

    def index(self, rows: Sequence[Example]) -> None:
        """Count characters."""
        self._lengths = np.array([len(row.content) for row in rows], np.float32)

    def scores(self, queries: Sequence[Query]) -> Array:
        """The same lengths for every query."""
        return np.tile(self._lengths, (len(queries), 1))
