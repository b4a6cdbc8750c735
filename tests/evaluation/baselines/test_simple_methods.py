"""BM25, loss and length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rise_store import Example, Query, SignatureError
from rise_store.evaluation.baselines import run_method
from rise_store.evaluation.baselines.bm25 import BM25
from rise_store.evaluation.baselines.controls import Length, LossRanking
from rise_store.evaluation.baselines.model import LanguageModel
from tests.evaluation.baselines.conftest import QUERIES, ROWS


def test_bm25_finds_the_rows_that_share_words() -> None:
    run = run_method(BM25(), ROWS, [*QUERIES, Query(text="the of and")])
    assert run.scores.shape == (3, 5)
    assert run.scores.dtype == np.float32
    assert ROWS[run.scores[0].argmax()].id == "key"
    assert ROWS[run.scores[1].argmax()].id in ("dog", "park")
    assert not run.scores[2].any()  # words of the stop list alone
    assert 0 < run.bytes_per_row < 1000


def test_loss_and_length_do_not_look_at_the_query(model: LanguageModel) -> None:
    by_loss = run_method(LossRanking(model), ROWS, QUERIES)
    np.testing.assert_allclose(by_loss.scores[0], model.losses(model.rows(ROWS)), rtol=1e-6)
    np.testing.assert_array_equal(by_loss.scores[0], by_loss.scores[1])
    by_length = run_method(Length(), ROWS, QUERIES)
    assert ROWS[by_length.scores[0].argmax()].id == "long"
    assert by_length.bytes_per_row == by_loss.bytes_per_row == 4


def test_scores_that_are_not_finite_are_refused() -> None:
    class Broken:
        name = "broken"
        bytes_per_row = 0.0

        def index(self, rows: Any) -> None: ...

        def scores(self, queries: Any) -> Any:
            return np.array([[np.nan]], np.float32)

    with pytest.raises(SignatureError, match="method broken gave NaN"):
        run_method(Broken(), [Example(text="a row")], [Query(text="a query")])
