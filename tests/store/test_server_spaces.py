"""Stores and spaces on a server: how they come about, what a crash leaves, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from local_qdrant import LocalQdrant
from loopback_qdrant import LoopbackQdrant, serving
from qdrant_client import models
from store_examples import FINGERPRINT, TABLES, make_point, make_space

from rise_store.errors import ConfigError, StoreError
from rise_store.records import Space, Storage
from rise_store.store import KEYWORD_FIELDS, Collection, open_store, tables_sha256
from rise_store.store.server import ServerBackend, retry
from rise_store.store.server.connection import Connection
from rise_store.store.server.schema import Placement, space_schema

Status = grpc.StatusCode
COLLECTION = f"rise_store.{FINGERPRINT}"
CATALOGUE = "rise_store.catalogue"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
    for name in ("RISE_STORE_API_KEY", "QDRANT_API_KEY", "RISE_STORE_SHARDS", "RISE_STORE_REPLICAS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[LoopbackQdrant]:
    with serving() as server:
        yield server


def stored_as(**storage: Any) -> Space:
    return make_space().model_copy(update={"storage": Storage(**storage)})


class TestStores:
    def test_are_made_only_when_asked_for(self, server: LoopbackQdrant) -> None:
        with pytest.raises(StoreError, match=r"there is no rise_store store 'rise_store' on the server at http"):
            open_store(server.url)
        assert server.local.created == {}

    def test_without_a_space_are_kept_when_left_in_peace(self, server: LoopbackQdrant) -> None:
        with open_store(server.url, create=True) as store:
            assert store.spaces() == []
        with open_store(server.url) as store:
            assert store.spaces() == []

    def test_without_a_space_are_not_made_after_an_error(self, server: LoopbackQdrant) -> None:
        with pytest.raises(RuntimeError, match="no model"), open_store(server.url, create=True):
            raise RuntimeError("no model")
        assert server.local.created == {}

    def test_of_other_names_share_a_server(self, server: LoopbackQdrant) -> None:
        books, films = (server.url.replace("?", f"/{name}?") for name in ("books", "films"))
        with open_store(books, create=True) as store, open_store(films, create=True) as other:
            store.create_space(make_space(), TABLES).upsert([make_point(1)])
            assert other.spaces() == []
            assert other.create_space(make_space(), TABLES).count() == 0
        assert server.local.created.keys() == {
            *("books.catalogue", f"books.{FINGERPRINT}"),
            *("films.catalogue", f"films.{FINGERPRINT}"),
        }

    def test_outlive_their_client(self, server: LoopbackQdrant) -> None:
        with open_store(server.url, create=True) as store:
            store.create_space(make_space(), TABLES).upsert([make_point(1)])
        with open_store(server.url) as store:
            assert store.location == server.url
            assert store.spaces() == [make_space()]
            assert store.open_collection(FINGERPRINT).count() == 1

    def test_of_format_1_are_read_and_marked_when_a_document_is_written(self, server: LoopbackQdrant) -> None:
        open_store(server.url, create=True).close()
        (header,), _ = server.local.scroll(CATALOGUE)
        assert header.payload is not None
        changed = {**header.payload, "format": 1}
        server.local.upsert(CATALOGUE, [models.PointStruct(id=header.id, vector=[0.0], payload=changed)])
        del server.local.indexes[CATALOGUE]["owner"]  # which stores of format 1 have not
        with open_store(server.url) as store:
            assert list(store.catalogue().entries()) == []
            assert store.catalogue().count("run", owner="a") == 0
            assert not server.of("CreateFieldIndex")[3:]
            (read,) = server.local.retrieve(CATALOGUE, [header.id])
            assert read.payload == changed
            for number in range(3):
                store.catalogue().put("run", {str(number): {}}, owner="a")
            (marked,) = server.local.retrieve(CATALOGUE, [header.id])
            assert marked.payload == header.payload
            assert "owner" in server.local.indexes[CATALOGUE]
            assert len(server.of("CreateFieldIndex")) == 4
            assert store.catalogue().count("run", owner="a") == 3

    def test_documents_that_make_spaces_are_out_of_reach(self, server: LoopbackQdrant) -> None:
        with open_store(server.url, create=True) as store:
            for kind in ("store", "space", "tables"):
                with pytest.raises(ConfigError, match=f"documents of the kind '{kind}' make the spaces"):
                    store.catalogue().put(kind, {"a": {}})

    def test_a_damaged_document_is_named_and_stops_no_search(self, server: LoopbackQdrant) -> None:
        with open_store(server.url, create=True) as store:
            store.create_space(make_space(), TABLES).upsert([make_point(1)])
            store.catalogue().put("run", {"a": {}})
            for record in ("{", "[]", None):
                point = server.local.scroll(CATALOGUE, models.Filter(must=[_kind("run")]))[0][0]
                changed = models.PointStruct(id=point.id, vector=[0.0], payload={**point.payload, "record": record})
                server.local.upsert(CATALOGUE, [changed])
                with pytest.raises(StoreError, match=rf"the document {point.id} in {CATALOGUE} .* is damaged"):
                    store.catalogue().get("run", ["a"])
                with pytest.raises(StoreError, match="is damaged"):
                    list(store.catalogue().scan("run"))
            assert store.open_collection(FINGERPRINT).count() == 1

    def test_of_a_newer_format_are_refused(self, server: LoopbackQdrant) -> None:
        open_store(server.url, create=True).close()
        (header,), _ = server.local.scroll(CATALOGUE)
        assert header.payload is not None
        assert header.payload.keys() == {"kind", "format", "created_at", "created_with"}
        changed = {**header.payload, "format": 3, "created_with": "9.9.9"}
        server.local.upsert(CATALOGUE, [models.PointStruct(id=header.id, vector=[0.0], payload=changed)])
        with pytest.raises(StoreError, match=r"has format 3.*reads format 2.*9\.9\.9"):
            open_store(server.url, create=True)

    def test_whose_making_was_cut_short_are_finished(self, server: LoopbackQdrant) -> None:
        server.fail("Upsert", 1, Status.INTERNAL)
        with pytest.raises(StoreError, match="told to"):
            open_store(server.url, create=True).close()
        with pytest.raises(StoreError, match="there is no rise_store store"):
            open_store(server.url)
        open_store(server.url, create=True).close()
        open_store(server.url).close()


class TestVersions:
    def test_before_1_19_are_refused(self) -> None:
        with (
            serving(local=LocalQdrant("1.18.2")) as server,
            pytest.raises(StoreError, match=r"is Qdrant 1\.18\.2, but 1\.19 is needed\. Upgrade it"),
        ):
            open_store(server.url, create=True)

    def test_before_1_20_have_no_turbo8(self) -> None:
        with serving(local=LocalQdrant("1.19.4")) as server, open_store(server.url, create=True) as store:
            with pytest.raises(StoreError, match=r"is Qdrant 1\.19, but turbo8 storage needs 1\.20"):
                store.create_space(stored_as(vectors="turbo8"), TABLES)
            assert store.spaces() == []
            store.create_space(stored_as(vectors="turbo4"), TABLES)

    @pytest.mark.parametrize("version", ["1.20.0-dev", "v1.21.3", "2.0.0", ""])
    def test_others_are_taken(self, version: str) -> None:
        with serving(local=LocalQdrant(version)) as server:
            open_store(server.url, create=True).close()


class TestSchema:
    def created(self, server: LoopbackQdrant, space: Space) -> Any:
        with open_store(server.url, create=True) as store:
            store.create_space(space, TABLES)
        return next(call.request for call in server.of("Create") if call.request.collection_name == COLLECTION)

    @pytest.mark.parametrize("vectors", ["float16", "turbo8", "turbo4"])
    def test_keeps_vectors_as_the_storage_says(self, server: LoopbackQdrant, vectors: Any) -> None:
        request = self.created(server, stored_as(vectors=vectors))
        vector = request.vectors_config.params_map.map["signature"]
        assert (vector.size, vector.on_disk) == (24, True)
        assert vector.distance == models_number("Distance", "Dot")
        assert vector.datatype == models_number("Datatype", vectors.capitalize())
        assert (request.hnsw_config.m, request.HasField("quantization_config")) == (0, False)
        assert (request.shard_number, request.replication_factor, request.write_consistency_factor) == (1, 1, 1)

    @pytest.mark.parametrize("bits", [4, 2, 1])
    def test_adds_a_coarse_copy_and_a_graph_when_asked(self, server: LoopbackQdrant, bits: Any) -> None:
        request = self.created(server, stored_as(quantization=bits, hnsw=True))
        assert request.quantization_config.turboquant.bits == models_number("TurboQuantBitSize", f"Bits{bits}")
        assert request.hnsw_config.m == 16

    def test_spreads_rows_as_the_environment_says(
        self, server: LoopbackQdrant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RISE_STORE_SHARDS", "6")
        monkeypatch.setenv("RISE_STORE_REPLICAS", "3")
        request = self.created(server, make_space())
        assert (request.shard_number, request.replication_factor, request.write_consistency_factor) == (6, 3, 2)
        catalogue = server.of("Create")[0].request
        assert (catalogue.shard_number, catalogue.replication_factor, catalogue.write_consistency_factor) == (1, 3, 2)

    @pytest.mark.parametrize("variable", ["RISE_STORE_SHARDS", "RISE_STORE_REPLICAS"])
    @pytest.mark.parametrize("number", ["0", "x", "-1", "1.0"])
    def test_wants_whole_numbers(
        self, server: LoopbackQdrant, variable: str, number: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, number)
        with pytest.raises(ConfigError, match=variable):
            open_store(server.url, create=True)

    def test_indexes_fields_before_the_first_row(self, server: LoopbackQdrant) -> None:
        self.created(server, make_space())
        assert server.local.indexes[COLLECTION].keys() >= {*KEYWORD_FIELDS, "tokens", "channel_norms.rh"}


class TestCreation:
    def test_that_is_cut_short_anywhere_leaves_nothing_and_can_be_repeated(self) -> None:
        with serving() as server, open_store(server.url, create=True) as store:
            store.create_space(make_space(), TABLES)
            calls = len(server.calls)
        assert calls > 20
        for survived in range(2, calls - 2):  # opening makes the first two calls, reading the new space the last ones
            with serving() as server:
                with open_store(server.url, create=True) as store:
                    server.fail("*", 1, Status.INTERNAL, skip=survived - 2)
                    with pytest.raises(StoreError):
                        store.create_space(make_space(), TABLES)
                    listed = store.spaces()
                    if not listed:
                        store.create_space(make_space(), TABLES)
                with open_store(server.url) as store:
                    assert store.spaces() == [make_space()]
                    assert tables_sha256(store.tables(FINGERPRINT)) == make_space().tables_sha256
                    store.open_collection(FINGERPRINT).upsert([make_point(1)])

    def test_by_several_at_once_ends_with_one(self, server: LoopbackQdrant) -> None:
        rng = np.random.default_rng(0)
        tables = {"bucket": rng.integers(0, 128, 500_000), "sign": rng.choice([-1, 1], 500_000).astype(np.int8)}
        spaces = [make_space(created_at=f"2026-01-01T00:00:0{n}Z", tables=tables) for n in range(4)]
        begin = threading.Barrier(4)

        def create(space: Space) -> Collection | StoreError:
            with open_store(server.url, create=True) as store:
                begin.wait()
                try:
                    store.create_space(space, tables).upsert([make_point(1)])
                except StoreError as error:
                    return error
                return store.open_collection(FINGERPRINT)

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(create, spaces))
        (winner,) = [collection for collection in made if not isinstance(collection, StoreError)]
        assert all("already has the space" in str(error) for error in made if isinstance(error, StoreError))
        with open_store(server.url) as store:
            assert store.spaces() == [winner.space]
            assert tables_sha256(store.tables(FINGERPRINT)) == winner.space.tables_sha256
            assert store.open_collection(FINGERPRINT).count() == 1

    def test_takes_over_no_collection_of_another_layout(self, server: LoopbackQdrant) -> None:
        with open_store(server.url, create=True) as store:
            vector = models.VectorParams(size=25, distance=models.Distance.DOT, datatype=models.Datatype.FLOAT16)
            server.local.create_collection(COLLECTION, vectors_config={"signature": vector})
            with pytest.raises(StoreError, match=rf"{COLLECTION} that belongs to no space.*25 coordinates, not 24"):
                store.create_space(make_space(), TABLES)
            assert store.spaces() == []

    @pytest.mark.parametrize(
        ("left", "problem"),
        [
            ({}, "coarse copy is not that of the space, which has a coarse copy of 4 bits"),
            ({"quantization": 1, "hnsw": True}, "coarse copy is not that of the space"),
            ({"quantization": 4, "hnsw": False}, "graph has 0 links a row, not 16"),
        ],
    )
    def test_takes_over_no_collection_without_its_graph_or_coarse_copy(
        self, server: LoopbackQdrant, left: dict[str, Any], problem: str
    ) -> None:
        wanted = stored_as(quantization=4, hnsw=True)
        with open_store(server.url, create=True) as store:
            server.local.create_collection(
                COLLECTION, **space_schema(wanted.dim, Storage(**{"hnsw": True, **left}), Placement())
            )
            with pytest.raises(StoreError, match=f"{COLLECTION} that belongs to no space.*{problem}"):
                store.create_space(wanted, TABLES)
            assert store.spaces() == []

    def test_takes_over_an_empty_collection_but_none_with_rows(self, server: LoopbackQdrant) -> None:
        with open_store(server.url, create=True) as store:
            space = make_space()
            server.local.create_collection(COLLECTION, **space_schema(space.dim, space.storage, Placement()))
            row = models.PointStruct(id=1, vector={"signature": [0.5] * space.dim}, payload={})
            server.local.upsert(COLLECTION, [row])
            with pytest.raises(StoreError, match=rf"{COLLECTION} that belongs to no space.*it holds 1 rows"):
                store.create_space(space, TABLES)
            assert store.spaces() == []
            server.local.delete(COLLECTION, [1])
            assert store.create_space(space, TABLES).count() == 0


class TestTables:
    def large(self) -> dict[str, Any]:
        return {"noise": np.random.default_rng(0).integers(0, 256, 3_000_000).astype(np.uint8)}

    def test_are_kept_in_parts_of_at_most_1_mib(self, server: LoopbackQdrant) -> None:
        tables = self.large()
        with open_store(server.url, create=True) as store:
            store.create_space(make_space(tables=tables), tables)
            np.testing.assert_array_equal(store.tables(FINGERPRINT)["noise"], tables["noise"])
        parts = [call.bytes for call in server.of("Upsert") if call.bytes > 1_000]
        assert len(parts) == 5
        assert max(parts) < 2**20

    @pytest.mark.parametrize("damage", ["changed", "missing", "no base64"])
    def test_that_are_damaged_are_refused(self, server: LoopbackQdrant, damage: str) -> None:
        tables = self.large()
        with open_store(server.url, create=True) as store:
            store.create_space(make_space(tables=tables), tables)
        parts, _ = server.local.scroll(CATALOGUE, None, 100, with_vectors=True)
        part = next(record for record in parts if (record.payload or {}).get("part") == 2)
        if damage == "missing":
            server.local.delete(CATALOGUE, [part.id])
        else:
            data = {"changed": "eJwDAAAAAAE=", "no base64": "?"}[damage]
            changed = {**(part.payload or {}), "data": data}
            server.local.upsert(CATALOGUE, [models.PointStruct(id=part.id, vector=[0.0], payload=changed)])
        with (
            open_store(server.url) as store,
            pytest.raises(StoreError, match="sketch tables in rise_store"),
        ):
            store.tables(FINGERPRINT)


class TestDamage:
    def test_a_collection_that_is_gone_is_named(self, server: LoopbackQdrant) -> None:
        with open_store(server.url, create=True) as store:
            store.create_space(make_space(), TABLES)
        server.local.delete_collection(COLLECTION)
        with open_store(server.url) as store, pytest.raises(StoreError, match=f"has lost the collection {COLLECTION}"):
            store.open_collection(FINGERPRINT)

    @pytest.mark.parametrize("record", ["", "{", '{"fingerprint": "5ace0001"}'])
    def test_a_record_that_is_damaged_is_named(self, server: LoopbackQdrant, record: str) -> None:
        with open_store(server.url, create=True) as store:
            store.create_space(make_space(), TABLES)
            documents, _ = server.local.scroll(CATALOGUE, None, 100)
            document = next(d for d in documents if (d.payload or {}).get("kind") == "space")
            changed = {**(document.payload or {}), "record": record}
            server.local.upsert(CATALOGUE, [models.PointStruct(id=document.id, vector=[0.0], payload=changed)])
            with pytest.raises(StoreError, match=f"the record of space {FINGERPRINT} in {CATALOGUE} .*is damaged"):
                store.spaces()

    @pytest.mark.parametrize("fingerprint", ["", "..", "a/b", "a.b", "catalogue"])
    def test_what_is_no_fingerprint_is_refused(self, server: LoopbackQdrant, fingerprint: str) -> None:
        with open_store(server.url, create=True) as store, pytest.raises(StoreError, match="is not the fingerprint"):
            store.open_collection(fingerprint)


class TestUpkeep:
    def test_compacting_lowers_the_threshold_and_puts_it_back(self) -> None:
        local = LocalQdrant()
        with ServerBackend(Connection(local, "local mode"), create=True) as store:
            store.create_space(make_space(), TABLES).compact()
        lowered, restored = (update["optimizers_config"] for update in local.updates)
        assert lowered.deleted_threshold < 1e-5
        assert lowered.vacuum_min_vector_number == 100
        assert (restored.deleted_threshold, restored.vacuum_min_vector_number) == (0.2, 1_000)

    def test_a_failed_optimizer_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken(LocalQdrant):
            def get_collection(self, collection_name: str, **arguments: Any) -> models.CollectionInfo:
                info = super().get_collection(collection_name, **arguments)
                info.optimizer_status = models.OptimizersStatusOneOf1(error="out of\nmemory")
                return info

        with ServerBackend(Connection(Broken(), "local mode"), create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            with pytest.raises(StoreError, match=f"optimizer .* failed on collection {COLLECTION}: out of memory"):
                collection.tidy()


def models_number(kind: str, name: str) -> int:
    """The number of a value of a gRPC enumeration."""
    from qdrant_client import grpc as messages

    return int(getattr(messages, kind).Value(name))


def _kind(name: str) -> models.FieldCondition:
    return models.FieldCondition(key="kind", match=models.MatchValue(value=name))
