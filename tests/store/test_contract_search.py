"""What every backend promises of searches beyond the plain one: paging, least scores, fields, scaling."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest
from store_examples import DIM, dot_products, make_id, make_payload, make_point, make_vector

from rise_store.errors import ConfigError, FilterError, SignatureError
from rise_store.records import ChannelNorms
from rise_store.store import Approximation, Collection, Equals, PerChannel, Point, RowNorm, Scaling, SearchRequest

DIM_RH = DIM - 1  # of `make_space`
QUERY = make_vector(1_000)


def norms_of(number: int) -> ChannelNorms:
    """Made-up channel norms of row `number`: whatever is stored counts, also where it is 0."""
    rng = np.random.default_rng(number)
    rh, gh = rng.uniform(0.01, 1.0, 2)
    return ChannelNorms(rh=0.0 if number % 10 == 3 else rh, gh=0.0 if number % 10 in (3, 7) else gh)


def scaled_score(query: npt.NDArray[np.float32], number: int, scaling: Scaling) -> float:
    """The scaled score of row `number`, by the definition."""
    norms = norms_of(number)
    products = make_vector(number).astype(float) * query.astype(float)
    if isinstance(scaling, RowNorm):
        length = np.hypot(scaling.rh * norms.rh, scaling.gh * norms.gh)
        return float(products.sum() / length) if length else 0.0
    parts = ((products[:DIM_RH].sum(), norms.rh), (products[DIM_RH:].sum(), norms.gh))
    return float(sum(part / norm for part, norm in parts if norm))


@pytest.fixture
def rows(collection: Collection) -> Collection:
    """300 rows with channel norms of their own, in two datasets."""
    collection.upsert(
        [
            make_point(n, dataset="books", channel_norms=norms_of(n), license=("MIT", "CC0-1.0")[n % 2])
            for n in range(300)
        ]
    )
    return collection


class TestPages:
    def test_join_to_the_whole_ranking(self, rows: Collection) -> None:
        whole = rows.search([SearchRequest(QUERY, 300)])[0]
        for offset, limit in ((0, 10), (7, 20), (290, 50), (300, 1), (10_000, 5)):
            page = rows.search([SearchRequest(QUERY, limit, offset=offset)])[0]
            assert [hit.score for hit in page] == [hit.score for hit in whole[offset : offset + limit]]

    def test_may_be_longer_than_anything_that_is_stored(self, rows: Collection) -> None:
        assert len(rows.search([SearchRequest(QUERY, 10**9)])[0]) == 300


class TestLeastScore:
    @pytest.mark.parametrize("scale", [2.0**-100, 1.0, 2.0**100])
    def test_keeps_hits_at_it_and_above(self, rows: Collection, scale: float) -> None:
        query = (QUERY * scale).astype(np.float32)
        expected = dot_products(query, range(300))
        for least in (sorted(expected.values())[200], 0.0, max(expected.values())):
            hits = rows.search([SearchRequest(query, 300, min_score=least)])[0]
            assert {hit.id for hit in hits} == {id for id, score in expected.items() if score >= least}

    @pytest.mark.parametrize("least", [1e300, 1e30, 7.0**40])
    def test_beyond_all_scores_leaves_nothing(self, rows: Collection, least: float) -> None:
        assert rows.search([SearchRequest(QUERY, 300, min_score=least)]) == [[]]
        assert len(rows.search([SearchRequest(QUERY, 300, min_score=-least)])[0]) == 300

    def test_goes_with_pages_and_scaling(self, rows: Collection) -> None:
        scaling = RowNorm(1.0, 3.0)
        whole = rows.search([SearchRequest(QUERY, 300, scaling=scaling)])[0]
        least = whole[40].score
        page = rows.search([SearchRequest(QUERY, 300, offset=30, min_score=least, scaling=scaling)])[0]
        assert [hit.score for hit in page] == [hit.score for hit in whole[30:] if hit.score >= least]


class TestScaling:
    @pytest.mark.parametrize(
        "scaling", [RowNorm(1.0, 0.3), RowNorm(0.2, 5.0), RowNorm(1.0, 0.0), RowNorm(1e200, 1e199), PerChannel()]
    )
    @pytest.mark.parametrize("scale", [2.0**-66, 1.0, 2.0**66])
    def test_ranks_every_row_as_the_definition_says(self, rows: Collection, scaling: Scaling, scale: float) -> None:
        query = (QUERY * scale).astype(np.float32)
        hits = rows.search([SearchRequest(query, 300, scaling=scaling)])[0]
        expected = {make_id(n): scaled_score(query, n, scaling) for n in range(300)}
        largest = max(map(abs, expected.values()))
        assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-6, abs=1e-7 * largest)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    @pytest.mark.parametrize("scaling", [RowNorm(0.25, 2.0), PerChannel()])
    def test_finds_the_best_of_all_rows_however_low_their_dot_products(
        self, rows: Collection, scaling: Scaling
    ) -> None:
        tiny = ChannelNorms(rh=1e-3, gh=1e-3)
        low = Point(make_id(500), (QUERY / 8).astype(np.float32), make_payload(500, channel_norms=tiny))
        rows.upsert([low])
        assert low.id not in {hit.id for hit in rows.search([SearchRequest(QUERY, 20)])[0]}
        assert rows.search([SearchRequest(QUERY, 1, scaling=scaling)])[0][0].id == low.id

    def test_weighs_a_channel_that_the_other_dwarfs(self, rows: Collection) -> None:
        query = QUERY.copy()
        query[DIM_RH:] *= 1e-7
        hits = rows.search([SearchRequest(query, 300, scaling=PerChannel())])[0]
        only_gh = np.where(np.arange(DIM) < DIM_RH, 0, query).astype(np.float32)
        alone = rows.search([SearchRequest(only_gh, 300, scaling=PerChannel())])[0]
        expected = {make_id(n): scaled_score(only_gh, n, PerChannel()) for n in range(300)}
        assert {hit.id: hit.score for hit in alone} == pytest.approx(expected, rel=1e-3, abs=1e-12)
        assert len(hits) == 300

    def test_of_a_zero_query_scores_zero(self, rows: Collection) -> None:
        zero = np.zeros(DIM, np.float32)
        for scaling in (RowNorm(1.0, 1.0), PerChannel()):
            assert {hit.score for hit in rows.search([SearchRequest(zero, 300, scaling=scaling)])[0]} == {0.0}

    def test_keeps_to_the_filter(self, rows: Collection) -> None:
        for scaling in (RowNorm(1.0, 1.0), PerChannel()):
            hits = rows.search([SearchRequest(QUERY, 300, Equals("license", "MIT"), scaling=scaling)])[0]
            assert {hit.id for hit in hits} == {make_id(number) for number in range(0, 300, 2)}

    def test_sees_what_changed(self, rows: Collection) -> None:
        rows.delete([make_id(number) for number in range(100)])
        rows.set_payload({make_id(100): make_payload(100, channel_norms=ChannelNorms(rh=1e-6, gh=0.0))})
        hits = rows.search([SearchRequest(make_vector(100), 300, scaling=RowNorm(1.0, 0.0))])[0]
        assert len(hits) == 200
        assert hits[0].id == make_id(100)

    def test_of_no_rows_is_empty(self, collection: Collection) -> None:
        assert collection.search([SearchRequest(QUERY, 5, scaling=PerChannel())]) == [[]]


class TestBatches:
    def test_answer_each_request_by_its_own_terms(self, rows: Collection) -> None:
        requests = [
            SearchRequest(QUERY, 5),
            SearchRequest(make_vector(2_000), 7, Equals("license", "MIT"), scaling=PerChannel()),
            SearchRequest(make_vector(2_001), 300, min_score=1.0, fields=("tokens",)),
            SearchRequest(make_vector(2_002), 3, offset=4, scaling=RowNorm(1.0, 2.0)),
            SearchRequest(QUERY, 2, Equals("license", "CC0-1.0")),
        ] * 20
        assert rows.search(requests) == [rows.search([request])[0] for request in requests]


METADATA = {"score": 0.1 + 0.2, "deep": {"ratio": 25.891675029296334, "name": "x"}, "a.b": [1], "none": None}


class TestFields:
    def hit(self, collection: Collection, *fields: str) -> dict[str, object]:
        collection.upsert([make_point(1, metadata=METADATA)])
        payload = collection.search([SearchRequest(QUERY, 1, fields=fields)])[0][0].payload
        assert next(iter(collection.scroll(fields=fields))).payload == payload
        return payload

    def test_are_all_that_hits_carry(self, collection: Collection) -> None:
        assert self.hit(collection, "dataset", "tokens") == {"dataset": "books", "tokens": 11}
        assert self.hit(collection) == {}

    def test_are_exact(self, collection: Collection) -> None:
        assert self.hit(collection, "metadata.score") == {"metadata": {"score": 0.1 + 0.2}}
        deep = self.hit(collection, "metadata.deep.ratio", "text")
        assert repr(deep["metadata"]) == "{'deep': {'ratio': 25.891675029296334}}"

    def test_may_hold_one_another(self, collection: Collection) -> None:
        for fields in (("metadata", "metadata.score"), ("metadata.score", "metadata")):
            assert self.hit(collection, *fields) == {"metadata": METADATA}
        assert self.hit(collection, "metadata.deep.name", "metadata.deep") == {"metadata": {"deep": METADATA["deep"]}}

    def test_that_are_missing_are_left_out(self, collection: Collection) -> None:
        assert self.hit(collection, "license", "metadata.nope.deeper", "metadata.score.deeper") == {}
        assert self.hit(collection, "metadata.none", 'metadata."a.b"') == {"metadata": {"none": None, "a.b": [1]}}

    def test_go_with_scaling(self, rows: Collection) -> None:
        hits = rows.search([SearchRequest(QUERY, 3, scaling=PerChannel(), fields=("example_id",))])[0]
        assert [hit.payload.keys() for hit in hits] == [{"example_id"}] * 3

    def test_must_be_paths(self, collection: Collection) -> None:
        with pytest.raises(FilterError, match="is not a field"):
            collection.search([SearchRequest(QUERY, 1, fields=("a..b",))])


class TestRefused:
    @pytest.mark.parametrize(
        ("request_", "problem"),
        [
            (SearchRequest(QUERY, 0), "limit"),
            (SearchRequest(QUERY, 2**64), "limit"),
            (SearchRequest(QUERY, 1, offset=-1), "offset"),
            (SearchRequest(QUERY, 1, offset=2**64), "offset"),
            (SearchRequest(QUERY, 1, min_score=float("nan")), "least score"),
            (SearchRequest(QUERY, 1, scaling=RowNorm(0.0, 0.0)), "cannot be scaled"),
            (SearchRequest(QUERY, 1, scaling=RowNorm(float("inf"), 1.0)), "cannot be scaled"),
            (SearchRequest(QUERY, 1, scaling=RowNorm(1e-320, 0.0)), "cannot be scaled.*would overflow"),
        ],
    )
    def test_numbers_out_of_range(self, collection: Collection, request_: SearchRequest, problem: str) -> None:
        with pytest.raises(ConfigError, match=problem):
            collection.search([SearchRequest(QUERY, 1), request_])

    def test_vectors_of_another_space(self, collection: Collection) -> None:
        wide = np.ones(DIM + 1, np.float32)
        for scaling in (None, PerChannel()):
            with pytest.raises(SignatureError, match=r"\[1, 25\].*\[n, 24\]"):
                collection.search([SearchRequest(QUERY, 1), SearchRequest(wide, 1, scaling=scaling)])

    def test_approximations_that_the_storage_has_not(self, collection: Collection) -> None:
        with pytest.raises(ConfigError, match=r"no coarse copy.*--quantization"):
            collection.search([SearchRequest(QUERY, 1)], Approximation("quantized"))
        with pytest.raises(ConfigError, match=r"no graph.*--hnsw"):
            collection.search([SearchRequest(QUERY, 1)], Approximation("hnsw"))
        with pytest.raises(ConfigError, match="only dot products can be approximated"):
            collection.search([SearchRequest(QUERY, 1, scaling=PerChannel())], Approximation("quantized"))


class TestScroll:
    def test_goes_on_after_an_id(self, rows: Collection) -> None:
        ids = sorted(make_id(number) for number in range(300))
        for after in (ids[0], ids[120], UUID(int=ids[7].int + 1)):
            assert [point.id for point in rows.scroll(after=after)] == [id for id in ids if id > after]
        assert list(rows.scroll(after=ids[-1])) == []
        assert list(rows.scroll(after=UUID(int=2**128 - 1))) == []

    def test_goes_on_after_an_id_within_a_filter(self, rows: Collection) -> None:
        ids = sorted(make_id(number) for number in range(0, 300, 2))
        points = list(rows.scroll(Equals("license", "MIT"), after=ids[10], fields=["license"], with_vectors=True))
        assert [point.id for point in points] == ids[11:]
        assert all(point.payload == {"license": "MIT"} and point.vector is not None for point in points)


class TestSample:
    def test_draws_different_points(self, rows: Collection) -> None:
        stored = {make_id(number) for number in range(300)}
        drawn = [rows.sample(40) for _ in range(5)]
        for points in drawn:
            assert len(points) == 40
            assert {point.id for point in points} <= stored
            assert len({point.id for point in points}) == 40
            assert all(point.vector is None and point.payload["dataset"] == "books" for point in points)
        assert len({frozenset(point.id for point in points) for points in drawn}) == 5

    def test_is_everything_where_there_is_not_more(self, rows: Collection) -> None:
        for size in (300, 1_000):
            points = rows.sample(size, with_vectors=True)
            assert {point.id for point in points} == {make_id(number) for number in range(300)}
        vectors = {point.id: point.vector for point in points}
        np.testing.assert_array_equal(vectors[make_id(5)], make_vector(5))

    def test_of_nothing_is_empty(self, collection: Collection) -> None:
        assert collection.sample(5) == []

    def test_of_any_size_has_all_rows(self, rows: Collection) -> None:
        assert len(rows.sample(2**64)) == 300
