"""Preconditioned answers against their dense definition, on both engines, and the sample that they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rise_store import AttributionResult, ConfigError, Query, StoreError
from rise_store.records import Lambdas, Metric, Weights
from rise_store.retrieval import Scoring, Search, SecondMoments, attribute, second_moments
from rise_store.signature import SignatureEncoder
from rise_store.store import Collection, Point, open_store
from rise_store.store.server import ServerBackend
from rise_store.store.server.connection import Connection
from tests.ingest.examples import SENTENCES, OpenStore, quick_folder, story_rows
from tests.retrieval.channel_rows import ESTIMATOR, TABLES, Array, Channels, collection_of, space_of, stored_points
from tests.store.local_qdrant import LocalQdrant

ROWS = Channels.random(60, seed=0)
QUERIES = Channels.random(3, seed=1)
HALF = ESTIMATOR.dim_rh
ROUNDING = 5e-3  # the engines keep signatures and queries as float16


@pytest.fixture(scope="module", params=["embedded", "server"])
def collection(request: pytest.FixtureRequest) -> Iterator[Collection]:
    if request.param == "embedded":
        with collection_of(ROWS) as held:
            yield held
    else:
        with ServerBackend(Connection(LocalQdrant(), "local mode"), create=True) as backend:
            held = backend.create_space(space_of(), TABLES)
            held.upsert(stored_points(ROWS))
            yield held


def ask(collection: Collection, **options: Any) -> list[AttributionResult]:
    asked = [Query(text="made of channels")] * len(QUERIES.rh)
    search = Search.plan(collection, asked, k=len(ROWS.rh), **options)
    return attribute(search, QUERIES.signatures().astype(np.float32))


def features(channels: Channels, metric: Metric, lambdas: Lambdas) -> Array:
    """What a metric compares, by definition, (n, dim)."""
    if metric == "cosine":
        return np.concatenate([half / np.linalg.norm(half, axis=1)[:, None] for half in (channels.rh, channels.gh)], 1)
    return channels.signatures(lambdas.rh, lambdas.gh)


@pytest.mark.parametrize("where", [(), "dataset = books or topic = 2"])
@pytest.mark.parametrize(
    ("metric", "weights", "lambdas"),
    [
        ("dot", Weights(), None),
        ("dot", Weights(rh=0.5, gh=-2), None),
        ("cosine", Weights(rh=1, gh=0.3), None),
        ("paper", Weights(), Lambdas(rh=0.2, gh=1)),
    ],
)
def test_scores_are_those_of_the_inverse_of_the_shifted_second_moments(
    collection: Collection, metric: Metric, weights: Weights, lambdas: Lambdas | None, where: Any
) -> None:
    alpha = 0.05
    results = ask(collection, metric=metric, weights=weights, lambdas=lambdas, precondition=alpha, where=where)
    under = lambdas or Lambdas(rh=ESTIMATOR.lambda_rh, gh=ESTIMATOR.lambda_gh)
    rows, queries = features(ROWS, metric, under), features(QUERIES, metric, under)
    moments = rows.T @ rows / len(rows)
    shift = alpha * np.linalg.eigvalsh(moments)[-1]
    preconditioned = shift * np.linalg.solve(moments + shift * np.eye(len(moments)), queries.T).T
    rh = weights.rh * preconditioned[:, :HALF] @ rows[:, :HALF].T
    gh = weights.gh * preconditioned[:, HALF:] @ rows[:, HALF:].T
    for number, result in enumerate(results):
        assert result.precondition == alpha
        assert len(result.results) == result.candidates == (26 if where else 60)
        for hit in result.results:
            row = int(hit.example_id.removeprefix("row-"))
            expected = (rh[number, row], gh[number, row])
            assert (hit.channels.rh, hit.channels.gh) == pytest.approx(expected, abs=ROUNDING)
            assert hit.score == pytest.approx(sum(expected), abs=ROUNDING)
        scores = [hit.score for hit in result.results]
        assert scores == sorted(scores, reverse=True)


def test_the_same_question_has_the_same_answer_whenever_the_store_is_opened() -> None:
    def answer(**options: Any) -> AttributionResult:
        with open_store(folder / "store") as backend:
            return ask(backend.open_collection(space_of().fingerprint), **options)[0]

    with quick_folder() as folder:
        with open_store(folder / "store", create=True) as backend:
            backend.create_space(space_of(), TABLES).upsert(stored_points(ROWS))
        first = answer(precondition=0.01)
        assert answer(precondition=0.01) == first
        assert answer().results != first.results


class TestSample:
    """Of 20 rows, so that few suffice."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(second_moments, "SAMPLE", 20)

    @pytest.fixture
    def growing(self) -> Iterator[Collection]:
        with collection_of(Channels(ROWS.rh[:30], ROWS.gh[:30])) as held:
            yield held

    def sampled(self, collection: Collection, moments: SecondMoments) -> Array:
        return moments.preconditioner(collection, Scoring.plan(ESTIMATOR), 0.1).rows

    def smallest(self, collection: Collection) -> Array:
        points = sorted(collection.scroll(with_vectors=True), key=lambda point: point.id)[:20]
        return np.stack([point.vector for point in points if point.vector is not None])

    def test_it_is_of_stored_rows_drawn_by_the_hashes_that_are_their_ids(self, growing: Collection) -> None:
        np.testing.assert_array_equal(self.sampled(growing, SecondMoments()), self.smallest(growing))

    def test_it_is_renewed_as_the_store_grows(self, growing: Collection) -> None:
        moments = SecondMoments()
        before = self.sampled(growing, moments)
        growing.upsert(stored_points(ROWS)[30:])
        after = self.sampled(growing, moments)
        np.testing.assert_array_equal(after, self.smallest(growing))
        new = {row.tobytes() for row in after} - {row.tobytes() for row in before}
        assert 1 <= len(new) < 20

    def test_a_row_that_is_deleted_or_replaced_is_out_of_it_at_once(self, growing: Collection) -> None:
        moments = SecondMoments()
        before = self.sampled(growing, moments)
        first, second = sorted(growing.scroll(), key=lambda point: point.id)[:2]
        growing.delete([first.id])
        (replacement,) = (point for point in stored_points(ROWS) if point.id == second.id)
        other = replacement.vector[::-1].copy()
        growing.upsert([Point(second.id, other, replacement.payload | {"content_sha256": "f" * 64})])
        after = self.sampled(growing, moments)
        np.testing.assert_array_equal(after, self.smallest(growing))
        left = {row.tobytes() for row in after}
        assert not left & {row.tobytes() for row in before[:2]}

    def test_signatures_are_read_once_for_many_queries(
        self, growing: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[bool] = []
        scroll = growing.scroll

        def counted(*args: Any, **options: Any) -> Any:
            read.append(bool(options.get("with_vectors")))
            return scroll(*args, **options)

        monkeypatch.setattr(growing, "scroll", counted)
        moments = SecondMoments()
        for metric in ("dot", "cosine", "dot"):
            for alpha in (0.1, 0.01):
                moments.preconditioner(growing, Scoring.plan(ESTIMATOR, metric), alpha)  # type: ignore[arg-type]
        assert read.count(True) == 1

    def test_it_takes_2_rows(self) -> None:
        with collection_of(Channels(ROWS.rh[:1], ROWS.gh[:1])) as held:
            with pytest.raises(StoreError, match=r"estimated from stored examples, and the store holds 1; ingest more"):
                ask_one(held, precondition=0.1)
            assert ask_one(held).results


def ask_one(collection: Collection, **options: Any) -> AttributionResult:
    search = Search.plan(collection, [Query(text="made of channels")], **options)
    return attribute(search, QUERIES.signatures()[:1].astype(np.float32))[0]


class TestInTheLibrary:
    def test_it_changes_scores_and_is_stated(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        plain = library.attribute(SENTENCES[0], k=30, model=encoder)
        result = library.attribute(SENTENCES[0], k=30, model=encoder, precondition=0.01)
        assert (plain.precondition, result.precondition) == (None, 0.01)
        assert [hit.score for hit in result.results] != [hit.score for hit in plain.results]
        assert library.attribute(SENTENCES[0], k=30, model=encoder, precondition=0.01) == result
        weak = library.attribute(SENTENCES[0], k=30, model=encoder, precondition=1e6)
        scores = [hit.score for hit in plain.results]
        assert [hit.score for hit in weak.results] == pytest.approx(scores, abs=1e-3)

    def test_groups_are_of_preconditioned_scores(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        asked = {"precondition": 0.01, "model": encoder}
        (groups,) = library.influence_by("dataset", [Query(text=SENTENCES[0])], over=None, **asked)  # type: ignore[arg-type]
        hits = library.attribute(SENTENCES[0], k=30, **asked).results  # type: ignore[arg-type]
        assert groups.precondition == 0.01
        assert groups.positive == pytest.approx(sum(max(hit.score, 0) for hit in hits), abs=1e-4)

    def test_nothing_of_the_sample_is_kept_in_the_store(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        store.ingest(story_rows(5), dataset="stories", model=encoder)
        before = list(store.backend.catalogue().entries())
        store.attribute(SENTENCES[0], model=encoder, precondition=0.01)
        assert list(store.backend.catalogue().entries()) == before

    @pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
    def test_alpha_is_checked_before_a_model_is_loaded(self, library: OpenStore, alpha: float) -> None:
        with pytest.raises(ConfigError, match=r"give a number above 0, such as 0\.01"):
            library.attribute(SENTENCES[0], model="no such model", precondition=alpha)
