"""The recall audit: what it measures, and what it recommends."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rise_store import ConfigError, EstimatorConfig, FilterError, StoreError
from rise_store.records import ApproximateSearch, RecallMeasurement, RecallReport, Storage
from rise_store.retrieval import measure_recall
from rise_store.retrieval.approximate import approximations
from rise_store.retrieval.recall import found_of, recommend, wilson_low
from rise_store.signature import SignatureEncoder
from rise_store.store import Approximation, Collection, Hit, SearchRequest, StoredPoint
from tests.ingest.examples import OpenStore, story_rows
from tests.retrieval.channel_rows import Channels, collection_of

ROWS = Channels.random(300, seed=5)
WIDE = EstimatorConfig(kr=96, kh=32, kg=32)  # 4,096 coordinates: the engine walks no graph of less than 10 MB


@pytest.fixture(scope="module", params=[Storage(), Storage(quantization=1)], ids=["exact", "coarse copy"])
def collection(request: pytest.FixtureRequest) -> Iterator[Collection]:
    with collection_of(ROWS, storage=request.param) as collection:
        yield collection


@pytest.fixture(scope="module")
def report(collection: Collection) -> RecallReport:
    return measure_recall(collection, sample=40, k=5, seed=7)


def assert_measured(report: RecallReport, collection: Collection) -> None:
    """Ask with every signature of the sample of seed 7 again, and compare with an exact ranking in numpy."""
    points = {point.id: point.vector for point in collection.scroll(with_vectors=True)}
    ids, stored = list(points), np.stack([vector for vector in points.values() if vector is not None])
    first = bisect.bisect(ids, UUID(bytes=np.random.default_rng(7).bytes(16)))
    chosen = [(first + number) % len(ids) for number in range(report.queries)]
    for measured in report.measurements[1:]:
        assert measured.approximate is not None
        setting = measured.approximate
        approximation = Approximation(setting.method, setting.oversampling, setting.ef)
        found = []
        for number in chosen:
            scores = (stored @ stored[number]).astype(np.float64)
            scores[number] = -np.inf
            best = {ids[row] for row in np.argsort(-scores)[: report.k]}
            (hits,) = collection.search([SearchRequest(stored[number], report.k + 1)], approximation)
            others = [hit.id for hit in hits if hit.id != ids[number]]
            found.append(len(best & set(others[: report.k])) / report.k)
        assert measured.recall == pytest.approx(float(np.mean(found)), abs=0.01)


class TestMeasured:
    def test_every_setting_of_the_space_behind_exact_search(self, report: RecallReport) -> None:
        exact, *others = report.measurements
        assert (exact.approximate, exact.recall) == (None, 1.0)
        assert [one.approximate for one in others] == approximations(report.storage)
        assert (report.queries, report.k, report.examples, report.at_least) == (40, 5, 300, 0.99)
        for one in report.measurements:
            assert 0 <= one.recall_low <= one.recall <= 1
            assert one.milliseconds > 0

    def test_the_recommendation_keeps_its_word(self, collection: Collection, report: RecallReport) -> None:
        for at_least in (0.01, report.at_least, 1.0):
            again = measure_recall(collection, sample=40, k=5, seed=7, at_least=at_least)
            exact, *others = again.measurements
            good = [one for one in others if one.recall >= at_least and one.milliseconds < exact.milliseconds]
            fastest = min(good, key=lambda one: one.milliseconds, default=exact)
            assert again.recommended == fastest.approximate

    def test_recall_is_that_of_the_answers(self, collection: Collection, report: RecallReport) -> None:
        assert_measured(report, collection)

    def test_more_oversampling_finds_more(self, report: RecallReport) -> None:
        recalls = [one.recall for one in report.measurements[1:]]
        assert recalls == sorted(recalls)
        assert len(set(recalls)) > 1 or report.storage.quantization is None

    def test_a_filter_is_kept(self, collection: Collection) -> None:
        filtered = measure_recall(collection, sample=10, k=3, seed=1, where=["license=MIT"])
        assert (filtered.examples, filtered.where) == (150, "license = MIT")
        assert all(one.recall > 0 for one in filtered.measurements)

    def test_all_rows_are_asked_with_where_there_are_fewer(self, collection: Collection) -> None:
        told: list[tuple[int, int]] = []
        report = measure_recall(collection, sample=1_000, k=1, progress=lambda *counts: told.append(counts))
        assert report.queries == measure_recall(collection, sample=1_000, k=1, seed=0).queries == 300
        total = 300 * len(report.measurements)
        assert told == [(done, total) for done in range(1, total + 1)]


def test_a_seed_draws_the_same_rows_again_and_reads_no_others(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    scroll, read = collection.scroll, []

    def watched(*args: Any, **kwargs: Any) -> Iterator[StoredPoint]:
        for point in scroll(*args, **kwargs):
            read.append(point.id)
            yield point

    monkeypatch.setattr(collection, "scroll", watched)
    drawn = []
    for seed in (1, 1, 2, 3):
        read.clear()
        measure_recall(collection, sample=10, k=1, seed=seed)
        assert len(read) == len(set(read)) == 10
        drawn.append(set(read))
    assert drawn[0] == drawn[1]
    assert len(set.union(*drawn)) > 10


def test_a_graph_is_measured_by_the_width_of_its_walk() -> None:
    with collection_of(Channels.random(1_300, seed=2, config=WIDE), WIDE, Storage(hnsw=True)) as collection:
        report = measure_recall(collection, sample=25, k=10, seed=7)
        assert_measured(report, collection)
    settings = [ApproximateSearch(method="hnsw", ef=width) for width in (64, 128, 256)]
    assert [one.approximate for one in report.measurements] == [None, *settings]
    assert all(0.5 < one.recall <= 1 for one in report.measurements)


def test_without_an_approximate_search_the_report_says_how_to_get_one(library: OpenStore) -> None:
    report = library.recall(sample=5, k=3)
    assert len(report.measurements) == 1
    assert report.recommended is None
    assert "--quantization" in report.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": 0}, "sample is 0; ask with at least 1"),
        ({"k": 30}, "k is 30, but a stored example has 29 others; choose k from 1 to 29"),
        ({"k": 0}, "k is 0, but a stored example has 29 others"),
        ({"at_least": 0.0}, r"at_least is 0\.0; a recall lies above 0 and is at most 1"),
        ({"at_least": 1.5}, r"at_least is 1\.5"),
        ({"seed": -1}, "seed is -1; give an integer from 0 on"),
        ({"where": "page=7"}, "the filter lets 1 examples through; recall takes at least 2"),
        ({"where": "pgae=7"}, "no stored example has the field"),
    ],
)
def test_what_cannot_be_measured_is_refused(library: OpenStore, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, FilterError), match=message):
        library.recall(**options)


def test_an_empty_store_has_no_recall(store: OpenStore) -> None:
    with pytest.raises(StoreError, match="ingest a corpus first"):
        store.recall()


def test_answers_are_no_longer_than_the_store(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(1), dataset="stories", model=encoder)
    with pytest.raises(StoreError, match="the store holds 1 example, and without its own row"):
        store.recall()
    store.ingest(story_rows(4), dataset="stories", model=encoder)
    assert store.recall().k == 3


def hits(*scores: float) -> list[Hit]:
    return [Hit(UUID(int=number), score, {}) for number, score in enumerate(scores)]


class TestFound:
    def test_share_of_the_exact_answer(self) -> None:
        exact = hits(0.9, 0.8, 0.7, 0.6)
        assert found_of(exact, exact) == 1
        assert found_of(exact, exact[1:3]) == 0.5
        assert found_of(exact, []) == 0

    def test_a_twin_of_the_last_row_is_as_good(self) -> None:
        exact = hits(0.9, 0.8)
        assert found_of(exact, [exact[0], Hit(UUID(int=9), 0.8, {})]) == 1
        assert found_of(exact, [exact[0], Hit(UUID(int=9), 0.79, {})]) == 0.5


class TestWilson:
    def test_known_values(self) -> None:
        assert wilson_low(0.9, 100) == pytest.approx(0.8256, abs=1e-4)  # 90 of 100
        assert wilson_low(1.0, 200) == pytest.approx(0.9812, abs=1e-4)
        assert wilson_low(0.0, 50) == 0

    @given(mean=st.floats(0, 1), count=st.integers(1, 10_000))
    def test_lies_below_the_mean_and_nears_it(self, mean: float, count: int) -> None:
        assert 0 <= wilson_low(mean, count) <= mean + 1e-12
        assert wilson_low(mean, count) <= wilson_low(mean, 4 * count) + 1e-12


def measured(recall: float, milliseconds: float, ef: int | None) -> RecallMeasurement:
    setting = None if ef is None else ApproximateSearch(method="hnsw", ef=ef)
    return RecallMeasurement(approximate=setting, recall=recall, recall_low=recall, milliseconds=milliseconds)


class TestRecommendation:
    def test_the_fastest_that_is_good_enough(self) -> None:
        ways = [measured(1, 10, None), measured(0.9, 1, 64), measured(0.99, 2, 128), measured(1, 5, 256)]
        setting, reason = recommend(ways, 0.99)
        assert setting == ApproximateSearch(method="hnsw", ef=128)
        assert reason == "the fastest with a recall of 0.99 or more, 5.0 times as fast as exact search"

    def test_none_below_the_stated_recall(self) -> None:
        setting, reason = recommend([measured(1, 10, None), measured(0.9899, 1, 64)], 0.99)
        assert setting is None
        assert reason == "exact search: no setting reaches a recall of 0.99; the best has 0.9899"

    def test_none_slower_than_exact_search(self) -> None:
        setting, reason = recommend([measured(1, 10, None), measured(1, 10, 64), measured(0.5, 1, 32)], 0.99)
        assert setting is None
        assert reason == "exact search: no setting with a recall of 0.99 or more is faster"
