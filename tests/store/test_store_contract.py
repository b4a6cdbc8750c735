"""What every backend promises. `backend` and `collection` are parametrised by engine in conftest.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import numpy as np
import pytest
from store_examples import (
    DIM,
    FINGERPRINT,
    TABLES,
    dot_products,
    make_id,
    make_payload,
    make_point,
    make_space,
    make_vector,
)

from rise_store.errors import ConfigError, FilterError, InputError, SignatureError, StoreError
from rise_store.store import And, Backend, Collection, Equals, Or, Point, SearchRequest


class TestSpaces:
    def test_a_new_store_has_none(self, backend: Backend) -> None:
        assert backend.spaces() == []

    def test_come_oldest_first_and_as_they_were_given(self, backend: Backend) -> None:
        young = make_space("aa", created_at="2026-02-01T00:00:00Z")
        old = make_space("bb", dim=32, created_at="2026-01-01T00:00:00Z")
        backend.create_space(young, TABLES)
        backend.create_space(old, TABLES)
        assert backend.spaces() == [old, young]

    def test_keep_their_tables_bit_by_bit(self, backend: Backend) -> None:
        backend.create_space(make_space(), TABLES)
        tables = backend.tables(FINGERPRINT)
        assert tables.keys() == TABLES.keys()
        for name, table in TABLES.items():
            np.testing.assert_array_equal(tables[name], table)
            assert tables[name].dtype == table.dtype

    def test_must_state_the_tables_they_are_created_with(self, backend: Backend) -> None:
        with pytest.raises(StoreError, match="SHA-256"):
            backend.create_space(make_space(), {**TABLES, "hidden_sign": -TABLES["hidden_sign"]})
        assert backend.spaces() == []

    def test_are_created_once(self, backend: Backend) -> None:
        backend.create_space(make_space(), TABLES)
        with pytest.raises(StoreError, match="already has the space"):
            backend.create_space(make_space(), TABLES)

    def test_that_do_not_exist_are_named_with_those_that_do(self, backend: Backend) -> None:
        backend.create_space(make_space(), TABLES)
        with pytest.raises(StoreError, match=rf"no space 'cafe'.*{FINGERPRINT}"):
            backend.open_collection("cafe")
        with pytest.raises(StoreError, match="no space 'cafe'"):
            backend.tables("cafe")

    def test_do_not_share_points(self, backend: Backend) -> None:
        first, second = (backend.create_space(make_space(name), TABLES) for name in ("aa", "bb"))
        first.upsert([make_point(1)])
        assert (first.count(), second.count()) == (1, 0)

    def test_have_one_collection_however_often_it_is_opened(self, backend: Backend) -> None:
        created = backend.create_space(make_space(), TABLES)
        created.upsert([make_point(1)])
        assert backend.open_collection(FINGERPRINT).count() == 1
        assert created.space == make_space()


class TestUpsert:
    def test_makes_rows_readable_at_once(self, collection: Collection) -> None:
        points = [make_point(number) for number in range(150)]
        collection.upsert(points)
        found = collection.retrieve([point.id for point in points], with_vectors=True)
        assert len(found) == 150
        for point in points:
            stored = found[point.id]
            assert (stored.id, stored.payload) == (point.id, point.payload)
            assert stored.vector is not None
            assert stored.vector.dtype == np.float32
            np.testing.assert_array_equal(stored.vector, point.vector)

    def test_twice_is_as_good_as_once(self, collection: Collection) -> None:
        points = [make_point(number) for number in range(20)]
        collection.upsert(points)
        collection.upsert(points)
        assert collection.count() == 20

    def test_replaces_vector_and_payload(self, collection: Collection) -> None:
        collection.upsert([make_point(1, metadata={"old": True})])
        collection.upsert([Point(make_id(1), make_vector(2), make_payload(1, text="new"))])
        stored = collection.retrieve([make_id(1)], with_vectors=True)[make_id(1)]
        np.testing.assert_array_equal(stored.vector, make_vector(2))
        assert stored.payload == make_payload(1, text="new")

    def test_keeps_the_last_of_two_with_one_id(self, collection: Collection) -> None:
        collection.upsert([make_point(1, text="first"), make_point(2), make_point(1, text="last")])
        assert collection.count() == 2
        assert collection.retrieve([make_id(1)])[make_id(1)].payload["text"] == "last"

    def test_of_nothing_does_nothing(self, collection: Collection) -> None:
        collection.upsert([])
        assert collection.count() == 0

    @pytest.mark.parametrize(
        ("vector", "problem"),
        [
            (np.full(DIM, np.nan, np.float32), "NaN or Inf"),
            (np.full(DIM, np.inf, np.float32), "NaN or Inf"),
            (np.full(DIM, 7e4, np.float32), "beyond the range of float16"),
            (np.ones(DIM - 1, np.float32), r"float32 \[23\].*float32 \[24\]"),
            (np.ones((1, DIM), np.float32), r"float32 \[1, 24\]"),
            (np.ones(DIM, np.float64), r"float64 \[24\]"),
        ],
    )
    def test_checks_the_whole_batch_before_any_write(
        self, collection: Collection, vector: np.ndarray, problem: str
    ) -> None:
        batch = [make_point(number) for number in range(99)]
        batch.append(Point(make_id(99), vector, make_payload(99)))
        with pytest.raises(SignatureError, match=f"example 'row-99' of dataset 'books' .*{problem}"):
            collection.upsert(batch)
        assert collection.count() == 0

    def test_checks_payloads_before_any_write(self, collection: Collection) -> None:
        good = [make_point(number) for number in range(99)]
        bad = Point(make_id(99), make_vector(99), {**make_payload(99), "metadata": {"score": float("nan")}})
        with pytest.raises(InputError, match=r"example 'row-99' of dataset 'books': metadata\.score is nan"):
            collection.upsert([*good, bad])
        assert collection.count() == 0

    def test_takes_vectors_that_are_not_contiguous(self, collection: Collection) -> None:
        rows = np.stack([make_vector(1), make_vector(2)], axis=1)  # [dim, 2]
        collection.upsert([Point(make_id(1), rows[:, 0], make_payload(1))])
        np.testing.assert_array_equal(
            collection.retrieve([make_id(1)], with_vectors=True)[make_id(1)].vector, make_vector(1)
        )


class TestSetPayload:
    def test_replaces_all_of_it_and_leaves_the_vector(self, collection: Collection) -> None:
        collection.upsert([make_point(1, metadata={"a": 1}), make_point(2)])
        collection.set_payload({make_id(1): make_payload(1, metadata={"b": 2}, text=None)})
        stored = collection.retrieve([make_id(1)], with_vectors=True)[make_id(1)]
        assert stored.payload == make_payload(1, metadata={"b": 2}, text=None)
        np.testing.assert_array_equal(stored.vector, make_vector(1))
        assert collection.count(Equals("metadata.a", 1)) == 0
        assert collection.count(Equals("metadata.b", 2)) == 1

    def test_of_an_unknown_point_changes_nothing(self, collection: Collection) -> None:
        collection.upsert([make_point(1)])
        with pytest.raises(StoreError, match="1 of 2 points are not stored, among them example 'row-2'"):
            collection.set_payload({make_id(1): make_payload(1, text="new"), make_id(2): make_payload(2)})
        assert collection.retrieve([make_id(1)])[make_id(1)].payload == make_payload(1)

    def test_checks_all_payloads_first(self, collection: Collection) -> None:
        collection.upsert([make_point(1), make_point(2)])
        with pytest.raises(InputError, match="row-2"):
            collection.set_payload({make_id(1): {"text": "new"}, make_id(2): {**make_payload(2), "tokens": 2**64}})
        assert collection.retrieve([make_id(1)])[make_id(1)].payload == make_payload(1)


class TestDelete:
    def test_removes_from_every_answer(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(5)])
        collection.delete([make_id(1), make_id(3), uuid4()])
        assert collection.count() == 3
        assert {point.id for point in collection.scroll()} == {make_id(number) for number in (0, 2, 4)}
        assert {hit.id for hit in collection.search([SearchRequest(make_vector(1), 5)])[0]} == {
            make_id(number) for number in (0, 2, 4)
        }
        assert collection.retrieve([make_id(1)]) == {}
        assert collection.facet("example_id") == {"row-0": 1, "row-2": 1, "row-4": 1}

    def test_takes_any_iterable(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(5)])
        collection.delete(make_id(number) for number in range(4))
        assert collection.count() == 1

    def test_then_upsert_stores_again(self, collection: Collection) -> None:
        collection.upsert([make_point(1)])
        collection.delete([make_id(1)])
        collection.upsert([make_point(1)])
        assert collection.count() == 1


class TestSearch:
    def test_finds_the_largest_dot_products_exactly(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(300)])
        queries = np.stack([make_vector(number) for number in (1000, 1001, 1002)])
        for query, hits in zip(
            queries, collection.search([SearchRequest(query, 10) for query in queries]), strict=True
        ):
            expected = dot_products(query, range(300))
            assert [hit.score for hit in hits] == sorted(expected.values(), reverse=True)[:10]
            assert all(hit.score == expected[hit.id] for hit in hits)
            assert all(hit.payload["example_id"] for hit in hits)

    def test_takes_more_queries_than_one_batch(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(10)])
        queries = np.stack([make_vector(number) for number in range(150)])
        answers = collection.search([SearchRequest(query, 1) for query in queries])
        assert len(answers) == 150
        for query, hits in zip(queries, answers, strict=True):
            assert hits[0].score == max(dot_products(query, range(10)).values())

    def test_keeps_to_the_filter(self, collection: Collection) -> None:
        collection.upsert([make_point(number, metadata={"even": number % 2 == 0}) for number in range(50)])
        query = make_vector(1000)
        hits = collection.search([SearchRequest(query, 50, Equals("metadata.even", True))])[0]
        assert {hit.id for hit in hits} == {make_id(number) for number in range(0, 50, 2)}
        assert [hit.score for hit in hits] == sorted(dot_products(query, list(range(0, 50, 2))).values(), reverse=True)

    def test_answers_nothing_where_there_is_nothing(self, collection: Collection) -> None:
        assert collection.search([SearchRequest(make_vector(1), 5)]) == [[]]
        assert collection.search([]) == []
        collection.upsert([make_point(1)])
        assert collection.search([SearchRequest(make_vector(1), 5, Equals("dataset", "films"))]) == [[]]

    @pytest.mark.parametrize("scale", [2.0**-100, 1e-5, 1.0, 1e9, 2.0**100])
    def test_is_as_exact_for_short_and_long_queries(self, collection: Collection, scale: float) -> None:
        collection.upsert([make_point(number) for number in range(50)])
        query = (make_vector(1000) * scale).astype(np.float32)
        expected = dot_products(query, range(50))
        largest = max(map(abs, expected.values()))
        for hit in collection.search([SearchRequest(query, 50)])[0]:
            assert hit.score == pytest.approx(expected[hit.id], abs=1e-3 * largest)

    def test_of_a_zero_query_scores_zero(self, collection: Collection) -> None:
        collection.upsert([make_point(1)])
        assert [hit.score for hit in collection.search([SearchRequest(np.zeros(DIM, np.float32), 1)])[0]] == [0.0]

    @pytest.mark.parametrize(
        "queries",
        [
            np.ones((1, DIM + 1)),
            np.ones(DIM),
            np.full((1, DIM), np.nan),
            np.full((1, DIM), np.inf),
            np.full((1, DIM), 1e300),
        ],
    )
    def test_refuses_queries_that_are_not_finite_or_not_of_the_space(
        self, collection: Collection, queries: np.ndarray
    ) -> None:
        with pytest.raises(SignatureError):
            collection.search([SearchRequest(query, 1) for query in queries])


class TestScore:
    def test_is_the_dot_product_with_each_stored_one(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(50)])
        query = make_vector(1000)
        wanted = [make_id(number) for number in (3, 7, 7, 40)]
        assert collection.score(query, [*wanted, uuid4()]) == dot_products(query, [3, 7, 40])

    def test_of_no_ids_is_empty(self, collection: Collection) -> None:
        assert collection.score(make_vector(1), []) == {}


class TestReading:
    def test_scroll_gives_each_point_once_in_the_order_of_ids(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(2_300)])
        points = list(collection.scroll())
        assert [point.id for point in points] == sorted(make_id(number) for number in range(2_300))
        assert all(point.vector is None for point in points)

    def test_scroll_brings_vectors_on_demand(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(150)])
        vectors = {point.id: point.vector for point in collection.scroll(with_vectors=True)}
        assert len(vectors) == 150
        for number in range(150):
            np.testing.assert_array_equal(vectors[make_id(number)], make_vector(number))

    def test_scroll_keeps_to_the_filter(self, collection: Collection) -> None:
        collection.upsert([make_point(number, dataset=("books", "films")[number % 2]) for number in range(10)])
        assert {point.payload["dataset"] for point in collection.scroll(Equals("dataset", "films"))} == {"films"}

    def test_scroll_is_lazy_and_stands_writes_in_between(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(1_500)])
        pages = collection.scroll()
        first = next(pages)
        collection.delete([point_id for point_id in (make_id(n) for n in range(1_500)) if point_id != first.id])
        assert len(list(pages)) < 1_500  # the first page was read already, the next ones are gone

    def test_retrieve_leaves_out_what_is_not_stored(self, collection: Collection) -> None:
        collection.upsert([make_point(1)])
        assert collection.retrieve([make_id(1), make_id(1), uuid4()]).keys() == {make_id(1)}
        assert collection.retrieve([]) == {}

    def test_facet_counts_exactly_and_sorts(self, collection: Collection) -> None:
        for number in range(30):
            collection.upsert([make_point(number, dataset="books" if number < 20 else "films", license=None)])
        assert list(collection.facet("dataset").items()) == [("books", 20), ("films", 10)]
        assert collection.facet("dataset", limit=1) == {"books": 20}
        assert collection.facet("license") == {}

    @pytest.mark.parametrize("limit", [-1, 0, 2**64])
    def test_facet_refuses_limits_out_of_range(self, collection: Collection, limit: int) -> None:
        with pytest.raises(ConfigError, match=f"the limit of counts by value is {limit}"):
            collection.facet("dataset", limit=limit)

    @pytest.mark.parametrize("field", ["metadata.topic", "tokens", "nonsense", "text"])
    def test_facet_refuses_other_fields(self, collection: Collection, field: str) -> None:
        with pytest.raises(FilterError, match=f"cannot count by '{field}'.*choose one of .*dataset"):
            collection.facet(field)

    def test_has_field_looks_for_any_value(self, collection: Collection) -> None:
        metadata = {"a": {"b": 1}, "flag": False, "none": None, "empty": [], "c.d": 2, "sp ace": 0}
        collection.upsert([make_point(1), make_point(2, metadata=metadata)])
        held = [
            "dataset",
            "channel_norms.rh",
            "metadata.a.b",
            "metadata.a",
            "metadata.flag",
            'metadata."c.d"',
            "metadata.sp ace",
        ]
        missing = ["license", "metadata.none", "metadata.empty", "metadata.c.d", "metadata.b", "nonsense"]
        assert [field for field in held if not collection.has_field(field)] == []
        assert [field for field in missing if collection.has_field(field)] == []

    def test_payloads_come_back_as_they_were(self, collection: Collection) -> None:
        # 0.1 + 0.2 and the like are rounded by the engine's parser: see json_values.
        metadata = {
            "floats": [25.891675029296334, 8.504738262592549e-10, 1e308, 5e-324, -0.0, 1.0, 0.1 + 0.2],
            "integers": [2**64 - 1, -(2**63), 2**53 + 1, 0],
            "text": "\x00 \u2028 é 😀",
            "nested": {"a.b": {"": [[], {}, None, True]}, 'q"uote': 1, "back\\slash": 2, "k[0]": 3},
        }
        point = make_point(1, metadata=metadata)
        collection.upsert([point])
        stored = collection.retrieve([point.id])[point.id].payload
        assert stored == point.payload
        assert repr(stored["metadata"]["floats"]) == repr(metadata["floats"])
        assert collection.search([SearchRequest(point.vector, 1)])[0][0].payload == point.payload
        assert next(iter(collection.scroll())).payload == point.payload
        collection.set_payload({point.id: stored})
        assert collection.retrieve([point.id])[point.id].payload == point.payload


class TestFilters:
    def test_parts_combine(self, collection: Collection) -> None:
        collection.upsert(
            [make_point(number, metadata={"third": number % 3 == 0, "size": number}) for number in range(12)]
        )
        third, size = Equals("metadata.third", True), Equals("metadata.size", 3)
        assert collection.count(And((third, size))) == 1
        assert collection.count(Or((third, size, Equals("metadata.size", 4)))) == 5
        assert collection.count(And((third, Or((size, Equals("metadata.size", 5)))))) == 1
        assert collection.count(And(())) == 12
        assert collection.count(Or(())) == 0

    @pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "\ud800"])
    def test_refuse_what_no_payload_can_hold(self, collection: Collection, value: object) -> None:
        with pytest.raises(FilterError, match=r"metadata\.x"):
            collection.count(Equals("metadata.x", value))  # type: ignore[arg-type]

    @pytest.mark.parametrize("field", ["", "a..b", ".a", "a.", '"a'])
    def test_refuse_what_is_no_path(self, collection: Collection, field: str) -> None:
        with pytest.raises(FilterError, match="is not a field"):
            collection.count(Equals(field, 1))


class TestThreads:
    def test_share_a_collection(self, collection: Collection) -> None:
        def work(part: int) -> int:
            numbers = range(part * 100, part * 100 + 100)
            for number in numbers:
                collection.upsert([make_point(number)])
                assert collection.score(make_vector(1000), [make_id(number)]) == dot_products(
                    make_vector(1000), [number]
                )
                collection.search([SearchRequest(make_vector(number), 3)])
            return sum(1 for _ in collection.scroll())

        with ThreadPoolExecutor(4) as pool:
            seen = list(pool.map(work, range(4)))
        assert collection.count() == 400
        assert max(seen) == 400


class TestLifetime:
    def test_closing_twice_is_fine_and_use_afterwards_is_not(self, backend: Backend) -> None:
        collection = backend.create_space(make_space(), TABLES)
        backend.close()
        backend.close()
        for use in (collection.count, lambda: collection.upsert([make_point(1)]), collection.tidy, backend.spaces):
            with pytest.raises(StoreError, match=r"is closed\. Open it again"):
                use()

    def test_tidy_changes_no_answer(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(100)])
        collection.delete([make_id(number) for number in range(50)])
        query = make_vector(1000)
        before = collection.search([SearchRequest(query, 100)])
        for change in (collection.tidy, collection.tidy, collection.compact, collection.compact):
            change()
            assert collection.search([SearchRequest(query, 100)]) == before
        assert collection.count() == 50
        collection.upsert([make_point(1)])
        assert collection.count() == 51

    def test_size_is_what_is_on_disk_or_unknown(self, collection: Collection) -> None:
        before = collection.size_bytes()
        collection.upsert([make_point(number, text="x" * 10_000) for number in range(100)])
        after = collection.size_bytes()
        assert (after is None) == (before is None)
        assert before is None or after is None or after >= before + 1_000_000
