"""Metrics of ranked answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rise_store import Attribution, ChannelScores
from rise_store.evaluation import precision


def hits(*datasets: str) -> list[Attribution]:
    return [
        Attribution(
            rank=rank, score=1 / rank, channels=ChannelScores(rh=1, gh=0), example_id=str(rank), dataset=dataset
        )
        for rank, dataset in enumerate(datasets, 1)
    ]


def test_precision_is_the_share_of_relevant_results() -> None:
    results = hits("poems", "news", "poems", "news", "news")
    assert precision(results, lambda hit: hit.dataset == "poems") == pytest.approx(0.4)


def test_no_results_have_precision_0() -> None:
    assert precision([], lambda hit: True) == 0


@given(st.lists(st.booleans(), min_size=1))
def test_precision_does_not_depend_on_the_order(relevant: list[bool]) -> None:
    results = hits(*("poems" if is_relevant else "news" for is_relevant in relevant))
    share = precision(results, lambda hit: hit.dataset == "poems")
    assert share == precision(reversed(results), lambda hit: hit.dataset == "poems")
    assert share == pytest.approx(sum(relevant) / len(relevant))
    assert share + precision(results, lambda hit: hit.dataset == "news") == pytest.approx(1)
