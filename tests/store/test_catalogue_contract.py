"""What the catalogue of every backend promises. `backend` is parametrised by engine in conftest.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from engines import ENGINES, open_engine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from store_examples import FINGERPRINT, TABLES, make_point, make_space

from rise_store.errors import InputError, StoreError
from rise_store.store import Backend, Catalogue
from rise_store.store.server.documents import ServerCatalogue

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\0é", max_size=3), inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(st.text("abc", max_size=2), JSON, max_size=3)
KINDS = st.sampled_from(["run", "receipt"])
KEYS = st.sampled_from(["", "a", "b", "B", "é", "a/1", "\0", "🌱", '"'])
OWNERS = st.sampled_from(["", "one", "öther"])


@pytest.fixture(params=ENGINES, scope="module")
def shared_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with open_engine(request.param) as store:
        yield store


@pytest.fixture
def catalogue(shared_backend: Backend) -> Catalogue:
    """The catalogue of one store for all tests, emptied."""
    catalogue = shared_backend.catalogue()
    empty(catalogue)
    return catalogue


def empty(catalogue: Catalogue) -> None:
    entries = list(catalogue.entries())
    for kind in {entry.kind for entry in entries}:
        catalogue.remove(kind, [entry.key for entry in entries if entry.kind == kind])


class TestDocuments:
    def test_are_found_by_kind_and_key(self, catalogue: Catalogue) -> None:
        catalogue.put("run", {"a": {"n": 1}, "b": {"n": 2}})
        catalogue.put("receipt", {"a": {"n": 3}})
        assert catalogue.get("run", ["a", "b", "c", "a"]) == {"a": {"n": 1}, "b": {"n": 2}}
        assert catalogue.get("receipt", iter(["a", "b"])) == {"a": {"n": 3}}
        assert catalogue.get("tombstone", ["a"]) == {}
        assert catalogue.get("run", []) == {}
        assert catalogue.get("run", ["\ud800"]) == {}

    def test_may_have_an_owner(self, catalogue: Catalogue) -> None:
        catalogue.put("receipt", {"1": {"n": 1}, "2": {"n": 2}}, owner="run-1")
        catalogue.put("receipt", {"3": {"n": 3}}, owner="run-2")
        catalogue.put("receipt", {"4": {"n": 4}})
        assert dict(catalogue.scan("receipt", owner="run-1")) == {"1": {"n": 1}, "2": {"n": 2}}
        assert dict(catalogue.scan("receipt", owner="")) == {"4": {"n": 4}}
        assert [catalogue.count("receipt", owner=owner) for owner in ("run-1", "run-2", "", "no")] == [2, 1, 1, 0]
        assert catalogue.count("receipt") == 4
        assert {(entry.kind, entry.key, entry.owner) for entry in catalogue.entries()} == {
            ("receipt", "1", "run-1"),
            ("receipt", "2", "run-1"),
            ("receipt", "3", "run-2"),
            ("receipt", "4", ""),
        }

    def test_are_replaced_with_their_owner(self, catalogue: Catalogue) -> None:
        catalogue.put("run", {"a": {"old": True}}, owner="one")
        catalogue.put("run", {"a": {"new": True}}, owner="two")
        assert dict(catalogue.scan("run")) == {"a": {"new": True}}
        assert (catalogue.count("run", owner="one"), catalogue.count("run", owner="two")) == (0, 1)

    def test_that_are_inserted_stay_as_they_were(self, catalogue: Catalogue) -> None:
        catalogue.insert("secret", {"a": {"n": 1}}, owner="one")
        catalogue.insert("secret", {"a": {"n": 2}, "b": {"n": 3}}, owner="two")
        assert catalogue.get("secret", ["a", "b"]) == {"a": {"n": 1}, "b": {"n": 3}}
        assert dict(catalogue.scan("secret", owner="two")) == {"b": {"n": 3}}

    def test_are_removed(self, catalogue: Catalogue) -> None:
        catalogue.put("run", {str(n): {"n": n} for n in range(5)})
        catalogue.remove("run", ["1", "3", "7", "\ud800"])
        catalogue.remove("run", [])
        assert sorted(key for key, _ in catalogue.scan("run")) == ["0", "2", "4"]
        catalogue.compact()
        assert catalogue.count("run") == 3

    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"integers": [2**64 - 1, -(2**63), 0]},
            {"floats": [0.1 + 0.2, 1e308, 5e-324, -0.0, 1.0]},
            {"text": 'é🌱\0"\\\n', "": {"a.b": [None, True, [], {}]}},
            {"large": "x" * 2**20},
        ],
        ids=["empty", "integers", "floats", "texts", "1 MiB"],
    )
    def test_come_back_as_they_were(self, catalogue: Catalogue, document: dict[str, Any]) -> None:
        catalogue.put("run", {"a": document})
        (found,) = catalogue.get("run", ["a"]).values()
        assert repr(found) == repr(document)

    @pytest.mark.parametrize(
        "bad",
        [float("nan"), float("inf"), 2**64, -(2**63) - 1, "\ud800", {1: 2}, (1,), b"x", object()],
        ids=["nan", "inf", "2^64", "-2^63-1", "surrogate", "key", "tuple", "bytes", "object"],
    )
    def test_of_what_is_no_json_are_refused_and_nothing_is_written(self, catalogue: Catalogue, bad: Any) -> None:
        for write in (catalogue.put, catalogue.insert):
            with pytest.raises(InputError, match=r"^the run 'b'"):
                write("run", {"a": {}, "b": {"x": bad}})
            with pytest.raises(InputError, match=r"^the run 'b'"):
                write("run", {"a": {}, "b": [bad]})  # type: ignore[dict-item]
        assert catalogue.count("run") == 0

    def test_with_names_that_are_no_unicode_are_refused(self, catalogue: Catalogue) -> None:
        with pytest.raises(InputError, match="lone surrogate"):
            catalogue.put("run", {"\ud800": {}})
        with pytest.raises(InputError, match="lone surrogate"):
            catalogue.put("run", {"a": {}}, owner="\ud800")
        assert list(catalogue.entries()) == []

    def test_may_be_many(self, catalogue: Catalogue) -> None:
        many = 2_000 if isinstance(catalogue, ServerCatalogue) else 10_000  # the client's local mode is slow
        documents = {f"{number:05d}": {"number": number} for number in range(many)}
        catalogue.put("receipt", documents, owner="run")
        catalogue.put("receipt", {"other": {}}, owner="other")
        assert catalogue.count("receipt", owner="run") == many
        scanned = list(catalogue.scan("receipt", owner="run"))
        assert len(scanned) == many
        assert dict(scanned) == documents
        assert catalogue.get("receipt", documents) == documents
        catalogue.remove("receipt", documents)
        assert catalogue.count("receipt") == 1


class TestAtOnce:
    def test_a_scan_bears_writes_and_gives_each_document_once(self, catalogue: Catalogue) -> None:
        stays = {f"{number:04d}": {"n": number} for number in range(0, 1_200, 2)}
        catalogue.put("run", stays)
        seen: list[str] = []
        for number, (key, _) in enumerate(catalogue.scan("run")):
            seen.append(key)
            if number % 50 == 0:
                catalogue.put("run", {f"{number + 1:04d}": {}, key: {"n": -1}})
                catalogue.remove("run", [f"{number + 1:04d}"])
        assert len(seen) == len(set(seen))
        assert set(stays) <= set(seen)

    def test_threads_lose_nothing(self, catalogue: Catalogue) -> None:
        def work(worker: int) -> None:
            for number in range(50):
                catalogue.put("receipt", {f"{worker}/{number}": {"n": number}}, owner=str(worker))
                catalogue.insert("secret", {str(number): {"worker": worker}})
                assert catalogue.get("receipt", [f"{worker}/{number}"])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert [catalogue.count("receipt", owner=str(worker)) for worker in range(4)] == [50] * 4
        assert catalogue.count("secret") == 50

    def test_of_several_writers_the_first_one_counts(self, catalogue: Catalogue) -> None:
        begin = threading.Barrier(8)

        def write(writer: int) -> int:
            begin.wait()
            catalogue.insert("secret", {"one": {"writer": writer}})
            return int(catalogue.get("secret", ["one"])["one"]["writer"])

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(write, range(8)))) == 1


class TestBesideSpaces:
    def test_neither_sees_the_other(self, backend: Backend) -> None:
        catalogue = backend.catalogue()
        collection = backend.create_space(make_space(), TABLES)
        collection.upsert([make_point(1)])
        catalogue.put("run", {"a": {}})
        assert [entry.kind for entry in catalogue.entries()] == ["run"]
        assert backend.spaces() == [make_space()]
        assert collection.count() == 1
        assert backend.open_collection(FINGERPRINT).count() == 1
        assert backend.catalogue().count("run") == 1

    def test_is_closed_with_the_store(self, backend: Backend) -> None:
        catalogue = backend.catalogue()
        catalogue.put("run", {"a": {}})
        backend.close()
        with pytest.raises(StoreError, match="is closed"):
            catalogue.get("run", ["a"])
        with pytest.raises(StoreError, match="is closed"):
            backend.catalogue()


class CatalogueMachine(RuleBasedStateMachine):
    """A catalogue beside a dictionary of what it must hold."""

    catalogue: Catalogue

    @initialize()
    def begin(self) -> None:
        empty(self.catalogue)
        self.held: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}

    @rule(kind=KINDS, documents=st.dictionaries(KEYS, DOCUMENTS, max_size=4), owner=OWNERS)
    def put(self, kind: str, documents: dict[str, Any], owner: str) -> None:
        self.catalogue.put(kind, documents, owner=owner)
        self.held.update(((kind, key), (owner, document)) for key, document in documents.items())

    @rule(kind=KINDS, documents=st.dictionaries(KEYS, DOCUMENTS, max_size=4), owner=OWNERS)
    def insert(self, kind: str, documents: dict[str, Any], owner: str) -> None:
        self.catalogue.insert(kind, documents, owner=owner)
        for key, document in documents.items():
            self.held.setdefault((kind, key), (owner, document))

    @rule(kind=KINDS, keys=st.lists(KEYS, max_size=4))
    def remove(self, kind: str, keys: list[str]) -> None:
        self.catalogue.remove(kind, keys)
        for key in keys:
            self.held.pop((kind, key), None)

    @rule(kind=KINDS, keys=st.lists(KEYS, max_size=6))
    def get(self, kind: str, keys: list[str]) -> None:
        assert self.catalogue.get(kind, keys) == {
            key: self.held[kind, key][1] for key in keys if (kind, key) in self.held
        }

    @rule(kind=KINDS, owner=st.none() | OWNERS)
    def scan(self, kind: str, owner: str | None) -> None:
        expected = {k[1]: v[1] for k, v in self.held.items() if k[0] == kind and owner in (None, v[0])}
        found = list(self.catalogue.scan(kind, owner=owner))
        assert len(found) == len(expected)
        assert dict(found) == expected
        assert self.catalogue.count(kind, owner=owner) == len(expected)

    @invariant()
    def holds_the_same_documents(self) -> None:
        if hasattr(self, "held"):
            entries = list(self.catalogue.entries())
            assert len(entries) == len(self.held)
            assert {(e.kind, e.key): (e.owner, e.document) for e in entries} == self.held


def test_any_sequence_of_operations_agrees(backend: Backend) -> None:
    class Machine(CatalogueMachine):
        catalogue = backend.catalogue()

    run_state_machine_as_test(Machine, settings=settings(max_examples=30, stateful_step_count=15, deadline=None))
