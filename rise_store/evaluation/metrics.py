"""Metrics of ranked answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rise_store.records import Attribution


def precision(results: Iterable[Attribution], relevant: Callable[[Attribution], bool]) -> float:
    """Share of the results that are relevant, 0 to 1; a random ranking reaches the share of relevant examples."""
    judged = [relevant(result) for result in results]
    return sum(judged) / len(judged) if judged else 0.0
