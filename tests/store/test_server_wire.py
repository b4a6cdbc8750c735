"""What the server backend sends, and what it does when a server fails: seen from a server on this machine."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from loopback_qdrant import LoopbackQdrant, serving
from store_examples import FINGERPRINT, TABLES, make_id, make_payload, make_point, make_space, make_vector

from rise_store.errors import RiseStoreError, StoreError, StoreFullError
from rise_store.store import Collection, Equals, RowNorm, SearchRequest, open_store
from rise_store.store.server import retry

KEY = "s3cret-key-of-the-test"
MIB = 2**20
Status = grpc.StatusCode
TRANSIENT = [Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.ABORTED, Status.RESOURCE_EXHAUSTED, Status.CANCELLED]
LASTING = [
    Status.INVALID_ARGUMENT,
    Status.NOT_FOUND,
    Status.UNAUTHENTICATED,
    Status.PERMISSION_DENIED,
    Status.FAILED_PRECONDITION,
    Status.INTERNAL,
    Status.UNKNOWN,
    Status.UNIMPLEMENTED,
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
    for name in ("RISE_STORE_API_KEY", "QDRANT_API_KEY", "RISE_STORE_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[LoopbackQdrant]:
    with serving() as server:
        yield server


@pytest.fixture
def collection(server: LoopbackQdrant) -> Iterator[Collection]:
    with open_store(server.url, create=True) as store:
        collection = store.create_space(make_space(), TABLES)
        server.calls.clear()
        yield collection


def one_line(error: pytest.ExceptionInfo[RiseStoreError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


class TestBatches:
    def test_have_at_most_64_rows_and_wait(self, server: LoopbackQdrant, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(200)])
        assert [call.rows for call in server.of("Upsert")] == [64, 64, 64, 8]
        assert all(call.request.wait for call in server.of("Upsert"))

    def test_have_at_most_16_mib(self, server: LoopbackQdrant, collection: Collection) -> None:
        collection.upsert([make_point(number, text="x" * (3 * MIB // 2)) for number in range(22)])
        assert [call.rows for call in server.of("Upsert")] == [10, 10, 2]
        assert all(call.bytes < 16 * MIB for call in server.of("Upsert"))

    def test_take_a_row_that_is_larger_alone(self, server: LoopbackQdrant, collection: Collection) -> None:
        collection.upsert([make_point(1), make_point(2, text="x" * 17 * MIB), make_point(3)])
        assert [call.rows for call in server.of("Upsert")] == [1, 1, 1]
        assert collection.count() == 3

    def test_carry_4_bytes_a_coordinate_exactly(self, server: LoopbackQdrant) -> None:
        dim = 24_576
        with open_store(server.url, create=True) as store:
            collection = store.create_space(make_space(dim=dim), TABLES)
            vectors = np.random.default_rng(0).standard_normal((3, dim)).astype(np.float32)
            points = [make_point(number, dim) for number in range(3)]
            for point, vector in zip(points, vectors, strict=True):
                object.__setattr__(point, "vector", vector)
            collection.upsert(points)
            call = server.of("Upsert")[-1]
            assert 4 * dim * 3 < call.bytes < 4 * dim * 3 + 3_000
            stored = collection.retrieve([point.id for point in points], with_vectors=True)
            for point in points:
                np.testing.assert_array_equal(stored[point.id].vector, point.vector)

    def test_of_payloads_and_deletions_wait(self, server: LoopbackQdrant, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(100)])
        collection.set_payload({make_id(number): make_payload(number, text="new") for number in range(100)})
        assert [len(call.request.operations) for call in server.of("UpdateBatch")] == [64, 36]
        assert all(call.request.wait for call in server.of("UpdateBatch"))
        collection.delete([make_id(number) for number in range(50)])
        collection.delete_where(Equals("text", "new"))
        assert [call.request.wait for call in server.of("Delete")] == [True, True]
        assert collection.count() == 0

    def test_of_queries_have_at_most_32(self, server: LoopbackQdrant, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(3)])
        found = collection.search([SearchRequest(make_vector(number), 1) for number in range(70)])
        assert len(found) == 70
        assert [len(call.request.query_points) for call in server.of("QueryBatch")] == [32, 32, 6]
        assert all(query.params.exact for call in server.of("QueryBatch") for query in call.request.query_points)

    def test_of_scaled_queries_prefetch_every_row(self, server: LoopbackQdrant, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(30)])
        collection.search([SearchRequest(make_vector(1), 1, scaling=RowNorm(1.0, 2.0))])
        (query,) = server.of("QueryBatch")[-1].request.query_points
        assert [prefetch.params.exact for prefetch in query.prefetch] == [True]
        assert all(prefetch.limit >= 30 for prefetch in query.prefetch)


class TestRetries:
    @pytest.mark.parametrize("status", TRANSIENT)
    def test_bridge_what_passes(self, server: LoopbackQdrant, collection: Collection, status: Status) -> None:
        server.fail("Upsert", 4, status)
        collection.upsert([make_point(1)])
        assert len(server.of("Upsert")) == 5
        assert collection.count() == 1

    def test_repeat_a_call_whose_answer_was_lost(self, server: LoopbackQdrant, collection: Collection) -> None:
        for method in ("Upsert", "Delete", "UpdateBatch"):
            server.fail(method, 1, Status.UNAVAILABLE, afterwards=True)
        collection.upsert([make_point(1), make_point(2)])
        collection.delete([make_id(1)])
        collection.set_payload({make_id(2): make_payload(2, text="new")})
        assert [point.payload["text"] for point in collection.scroll()] == ["new"]

    @pytest.mark.parametrize("status", TRANSIENT)
    def test_end_after_5_tries_with_one_line(
        self, server: LoopbackQdrant, collection: Collection, status: Status
    ) -> None:
        server.fail("Upsert", 100, status)
        with pytest.raises(StoreError) as error:
            collection.upsert([make_point(1)])
        assert len(server.of("Upsert")) == 5
        assert "could not store rows" in one_line(error)
        assert "Everything that was acknowledged is kept" in one_line(error)

    @pytest.mark.parametrize("status", LASTING)
    def test_are_not_made_of_what_lasts(self, server: LoopbackQdrant, collection: Collection, status: Status) -> None:
        server.fail("Upsert", 100, status, "Wrong input: made up")
        with pytest.raises(StoreError, match=f"{server.url[:20]}.*could not store rows.*made up") as error:
            collection.upsert([make_point(1)])
        assert len(server.of("Upsert")) == 1
        one_line(error)

    def test_wait_longer_each_time_but_not_beyond_30_seconds(
        self, server: LoopbackQdrant, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retry, "FIRST_WAIT_S", 1.0)
        waits: list[float] = []
        monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
        server.fail("Count", 100, Status.UNAVAILABLE)
        with pytest.raises(StoreError):
            collection.count()
        assert [low <= wait <= low + 1 for wait, low in zip(waits, (1, 2, 4, 8), strict=True)] == [True] * 4
        # A server that asks for more patience than there is gets none.
        server.calls.clear()
        server.faults.clear()
        server.fail("Count", 100, Status.RESOURCE_EXHAUSTED, retry_after_s=31)
        with pytest.raises(StoreError, match="too much to do"):
            collection.count()
        assert len(server.of("Count")) == 1

    def test_of_a_call_that_runs_into_its_deadline_are_made_and_end(
        self, server: LoopbackQdrant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RISE_STORE_TIMEOUT", "1")
        monkeypatch.setattr(retry, "MOST_S", 0.9)  # shorter than the deadline, as 30 seconds are than 60
        with open_store(server.url, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            server.delay("Count", 2, 1.2)
            assert collection.count() == 0
            monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.5)
            server.calls.clear()
            server.delay("Count", 9, 1.2)
            with pytest.raises(StoreError, match="too slow"):
                collection.count()  # waits for 0.5 to 1 s, and would have to for 1 to 1.5 s more
            assert len(server.of("Count")) <= 2

    def test_that_the_server_delays_end_after_30_seconds_of_waiting(
        self, server: LoopbackQdrant, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
        server.fail("Count", 100, Status.RESOURCE_EXHAUSTED, retry_after_s=12)
        with pytest.raises(StoreError, match="too much to do"):
            collection.count()
        assert waits == [12.0, 12.0]

    def test_wait_as_long_as_the_server_asks(
        self, server: LoopbackQdrant, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
        server.fail("Count", 1, Status.RESOURCE_EXHAUSTED, retry_after_s=7)
        assert collection.count() == 0
        assert waits == [7.0]


class TestFailures:
    def test_a_server_that_is_down(
        self, server: LoopbackQdrant, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.stop()
        with pytest.raises(StoreError, match=r"cannot be reached: could not count rows.*grpc_port=") as error:
            collection.count()
        one_line(error)
        server.start()
        monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.3)  # until the client tries to reach it again
        assert collection.count() == 0

    def test_a_server_that_is_not_there(self) -> None:
        with serving() as server:
            url = server.url
        began = time.monotonic()
        with pytest.raises(StoreError, match="cannot be reached: could not ask the server for its version") as error:
            open_store(url, create=True)
        one_line(error)
        assert time.monotonic() - began < 5

    def test_a_server_that_is_slow(self, server: LoopbackQdrant, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RISE_STORE_TIMEOUT", "1")
        monkeypatch.setattr(retry, "TRIES", 2)
        with open_store(server.url, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            server.delay("Count", 2, 1.5)
            with pytest.raises(
                StoreError, match=r"too slow: could not count rows within 1 s.*RISE_STORE_TIMEOUT"
            ) as error:
                collection.count()
            one_line(error)
            assert collection.count() == 0

    def test_a_full_disk(self, server: LoopbackQdrant, collection: Collection) -> None:
        said = "Service internal error: No space left on device: WAL buffer size exceeds available disk space"
        for status in (Status.INTERNAL, Status.RESOURCE_EXHAUSTED):
            server.calls.clear()
            server.faults.clear()
            server.fail("Upsert", 1, status, said)
            with pytest.raises(StoreFullError, match=r"the disk of the server at .* is full: could not store rows"):
                collection.upsert([make_point(number) for number in range(10)])
            assert len(server.of("Upsert")) == 1
            collection.upsert([make_point(number) for number in range(10)])
        assert collection.count() == 10

    def test_a_batch_that_fails_leaves_those_before_it(self, server: LoopbackQdrant, collection: Collection) -> None:
        server.fail("Upsert", 1, Status.INTERNAL, "broken", skip=2)
        with pytest.raises(StoreError, match="broken"):
            collection.upsert([make_point(number) for number in range(200)])
        assert collection.count() == 128
        collection.upsert([make_point(number) for number in range(200)])
        assert collection.count() == 200

    def test_a_server_that_restarts_while_rows_come_in(
        self, server: LoopbackQdrant, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.2)
        stored = threading.Event()

        def restart() -> None:
            for _ in range(2):
                stored.wait(30)
                stored.clear()
                server.stop()
                time.sleep(0.5)
                server.start()

        thread = threading.Thread(target=restart, daemon=True)
        thread.start()
        acknowledged: list[int] = []
        for first in range(0, 2_000, 50):
            collection.upsert([make_point(number) for number in range(first, first + 50)])
            acknowledged += range(first, first + 50)
            if first in (500, 1_200):
                stored.set()
        thread.join()
        assert {point.id for point in collection.scroll()} == {make_id(number) for number in acknowledged}
        assert len(server.of("Upsert")) >= 40


class TestDeadlines:
    def test_are_set_on_every_call(self, server: LoopbackQdrant, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RISE_STORE_TIMEOUT", "7")
        with open_store(server.url, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            store.tables(FINGERPRINT)
            use_every_call(collection)
        methods = {call.method for call in server.calls}
        assert {"HealthCheck", "Create", "Upsert", "UpdateBatch", "Delete", "QueryBatch", "Query", "Scroll"} <= methods
        for call in server.calls:
            assert call.deadline_s is not None, call.method
            assert 0 < call.deadline_s < 8, call.method  # gRPC rounds up

    def test_are_a_minute_by_default(self, server: LoopbackQdrant, collection: Collection) -> None:
        collection.count()
        deadline_s = server.of("Count")[0].deadline_s
        assert deadline_s is not None
        assert 55 < deadline_s < 61


class TestKey:
    def test_goes_with_every_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QDRANT_API_KEY", "another")
        monkeypatch.setenv("RISE_STORE_API_KEY", KEY)
        with serving(api_key=KEY) as server, open_store(server.url, create=True) as store:
            use_every_call(store.create_space(make_space(), TABLES))
            assert {call.metadata.get("api-key") for call in server.calls} == {KEY}

    def test_may_be_that_of_qdrant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QDRANT_API_KEY", KEY)
        with serving(api_key=KEY) as server, open_store(server.url, create=True) as store:
            assert store.spaces() == []

    def test_is_never_told(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("RISE_STORE_API_KEY", KEY)
        with serving(api_key="the right one") as server:
            with pytest.raises(StoreError, match=r"refused access.*has \*\*\*.*Set RISE_STORE_API_KEY") as error:
                open_store(server.url)
            one_line(error)
            assert server.of("CollectionExists")[0].metadata["api-key"] == KEY
            told = "".join(traceback.format_exception(error.value)) + repr(error.value)
        with serving(api_key=KEY) as server, open_store(server.url, create=True) as store:
            told += repr(store) + repr(vars(store))
            server.fail("Upsert", 100, Status.INTERNAL, f"bad request with api-key {KEY}")
            with pytest.raises(StoreError, match=r"api-key \*\*\*") as error:
                store.create_space(make_space(), TABLES)
            server.faults.clear()
            told += "".join(traceback.format_exception(error.value))
        output = capfd.readouterr()
        assert KEY not in told + caplog.text + output.out + output.err

    def test_that_is_missing_is_asked_for(self) -> None:
        with serving(api_key=KEY) as server, pytest.raises(StoreError, match=r"refused access.*RISE_STORE_API_KEY"):
            open_store(server.url)


def use_every_call(collection: Collection) -> None:
    collection.upsert([make_point(1), make_point(2)])
    collection.set_payload({make_id(1): make_payload(1, text="new")})
    collection.search([SearchRequest(make_vector(1), 1), SearchRequest(make_vector(1), 1, scaling=RowNorm(1.0, 1.0))])
    collection.score(make_vector(1), [make_id(1)])
    collection.sample(1)
    list(collection.scroll(with_vectors=True))
    collection.facet("dataset")
    collection.has_field("text")
    collection.create_index("metadata.x", "integer")
    collection.tidy()
    collection.compact()
    collection.delete([make_id(1)])
