"""Clusters of near-duplicates are those of comparing every pair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store.errors import ConfigError
from rise_store.retrieval import duplicates as module
from rise_store.retrieval.duplicates import Clusters, find_duplicates
from rise_store.store import Collection, Equals
from tests.retrieval.channel_rows import Channels, collection_of


@contextmanager
def planted() -> Iterator[Collection]:
    """60 rows at random, of which 1 and 2 are near 0, and 11 is a copy of 10; 21 is near 20 and 22 near 21."""
    rows = Channels.random(60, seed=4)
    draw = np.random.default_rng(5)
    for copy, of, noise in ((1, 0, 0.02), (2, 0, 0.02), (11, 10, 0.0), (21, 20, 0.15), (22, 21, 0.15)):
        for part in (rows.rh, rows.gh):
            away = draw.standard_normal(part[of].shape)
            part[copy] = part[of] + noise * np.linalg.norm(part[of]) * away / np.linalg.norm(away)
    with collection_of(rows) as collection:
        yield collection


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    with planted() as collection:
        yield collection


def by_comparing_everything(collection: Collection, threshold: float) -> set[frozenset[str]]:
    points = list(collection.scroll(with_vectors=True, fields=("example_id",)))
    names = [point.payload["example_id"] for point in points]
    rows = np.stack([point.vector for point in points if point.vector is not None]).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    reach = np.linalg.matrix_power(((rows @ rows.T) >= threshold).astype(np.int64), 8) > 0  # through 7 others
    return {frozenset(np.array(names)[row].tolist()) for row in reach if row.sum() > 1}


def found(collection: Collection, threshold: float) -> set[frozenset[str]]:
    return {
        frozenset(one.example_id for one in (cluster.representative, *cluster.others))
        for cluster in find_duplicates(collection, threshold)
    }


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("threshold", [0.98, 0.95, 0.6, 0.3])
def test_as_comparing_every_pair(
    collection: Collection, threshold: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "PAGE", block)
    monkeypatch.setattr(module, "DIRECTIONS", 8)
    assert found(collection, threshold) == by_comparing_everything(collection, threshold)


def test_planted_duplicates(collection: Collection) -> None:
    clusters = find_duplicates(collection, 0.98)
    assert [cluster.size for cluster in clusters] == [3, 3, 2]
    by_member = {one.example_id: cluster for cluster in clusters for one in (cluster.representative, *cluster.others)}
    assert set(by_member) == {"row-0", "row-1", "row-2", "row-10", "row-11", "row-20", "row-21", "row-22"}
    assert by_member["row-20"].representative.example_id == "row-21"  # the one in the middle
    (copy,) = by_member["row-10"].others
    assert copy.similarity == pytest.approx(1, abs=1e-5)
    assert copy.dataset in ("books", "forum", "notes")
    assert copy.text is None
    for cluster in clusters:
        similarities = [one.similarity for one in cluster.others]
        assert similarities == sorted(similarities, reverse=True)


def test_equal_rows_reach_a_threshold_of_1() -> None:
    rows = Channels.random(120, seed=6)
    for part in (rows.rh, rows.gh):
        part[60:] = part[:60]
    with collection_of(rows) as collection:
        clusters = find_duplicates(collection, 1.0)
    assert [cluster.size for cluster in clusters] == [2] * 60
    assert {cluster.threshold for cluster in clusters} == {1.0}


def test_a_filter(collection: Collection) -> None:
    assert found(collection, 0.98) != set()
    clusters = find_duplicates(collection, 0.98, Equals("dataset", "forum"))  # rows 1, 4, 7, 10, 13, 16, 19, 22 ...
    assert clusters == []


def test_progress(collection: Collection) -> None:
    told: list[tuple[int, int | None]] = []
    find_duplicates(collection, progress=lambda done, total: told.append((done, total)))
    assert told == [(60, 60)]


def test_refusals(collection: Collection) -> None:
    with pytest.raises(ConfigError, match=r"threshold is 1\.5; give a cosine above 0 and at most 1, such as 0\.98"):
        find_duplicates(collection, 1.5)
    with pytest.raises(ConfigError, match="60 examples would be compared with each other, and 59 are the most"):
        find_duplicates(collection, most=59)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20).flatmap(
        lambda n: st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))).map(lambda p: (n, p))
    )
)
def test_clusters_are_what_hangs_together(case: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = case
    clusters = Clusters(count)
    together = np.eye(count, dtype=bool)
    for one, other in pairs:
        clusters.join(one, other)
        joined = together[one] | together[other]
        together[joined] = joined
    assert [set(rows) for rows in clusters.several()] == [
        set(np.nonzero(row)[0].tolist())
        for number, row in enumerate(together)
        if row.sum() > 1 and np.nonzero(row)[0][0] == number
    ]
