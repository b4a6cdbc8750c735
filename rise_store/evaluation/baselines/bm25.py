"""BM25: rows that share words with the query; no model at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rise_store.corpus.extras import require_extra
from rise_store.evaluation.baselines.method import Array
from rise_store.records import Example, Query


class BM25:
    """Okapi-style term weighting (Lucene's variant, k1 1.5, b 0.75), by the package bm25s (extra `eval`)."""

    name = "bm25"

    def __init__(self) -> None:
        self._package = require_extra("bm25s", "eval", "BM25")
        self._retriever: Any = None

    def index(self, rows: Sequence[Example]) -> None:
        """Count the words of rows; those of the package's English stop list are left out."""
        self._retriever = self._package.BM25()
        self._retriever.index(self._words([row.content for row in rows]), show_progress=False)

    @property
    def bytes_per_row(self) -> float:
        """Of the matrix of term weights, the vocabulary not counted."""
        matrix = self._retriever.scores
        return float(sum(matrix[name].nbytes for name in ("data", "indices", "indptr"))) / int(matrix["num_docs"])

    def scores(self, queries: Sequence[Query]) -> Array:
        """Scores of all rows for the words of each query's prompt and completion, or of its text."""
        texts = [query.text or f"{query.prompt or ''}{query.completion or ''}" for query in queries]
        rows = int(self._retriever.scores["num_docs"])
        found = [self._retriever.get_scores(words) if words else np.zeros(rows) for words in self._words(texts)]
        return np.stack(found).astype(np.float32)

    def _words(self, texts: list[str]) -> list[list[str]]:
        words: list[list[str]] = self._package.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)
        return words
