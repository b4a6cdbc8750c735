"""What was erased is refused, on every engine, and nothing says what it was."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

import pytest
from engines import ENGINES, open_engine
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store.store import Backend, Catalogue, Erasure, Identity, Tombstones
from rise_store.store.tombstones import KIND, SECRET_KIND

BOOK = Identity("books", "row-1", "a" * 64)
FILM = Identity("films", "row-9", "b" * 64)
SAME_KEY = Identity("books", "row-1", "c" * 64)
SAME_CONTENT = Identity("films", "row-2", "a" * 64)
STRANGER = Identity("films", "row-1", "d" * 64)  # shares nothing with the others but parts of names


@pytest.fixture(params=ENGINES)
def catalogue(request: pytest.FixtureRequest) -> Iterator[Catalogue]:
    with open_engine(request.param) as store:
        yield store.catalogue()


class TestRefusing:
    def test_is_by_dataset_and_key_and_by_content(self, catalogue: Catalogue) -> None:
        tombstones = Tombstones(catalogue)
        everyone = [BOOK, SAME_KEY, SAME_CONTENT, STRANGER, FILM]
        assert tombstones.refused(everyone) == [False] * 5
        assert tombstones.add([BOOK], Erasure.begin()) == 1
        assert tombstones.refused(everyone) == [True, True, True, False, False]
        assert Tombstones(catalogue).refused(everyone) == [True, True, True, False, False]
        assert tombstones.refused([]) == []

    def test_counts_examples_that_were_not_refused_by_key(self, catalogue: Catalogue) -> None:
        tombstones = Tombstones(catalogue)
        assert tombstones.add([BOOK, FILM, BOOK], Erasure.begin()) == 2
        assert tombstones.add([BOOK, SAME_CONTENT], Erasure.begin()) == 1
        assert tombstones.add([], Erasure.begin()) == 0

    def test_writes_nothing_where_nothing_was_erased(self, catalogue: Catalogue) -> None:
        assert Tombstones(catalogue).refused([BOOK]) == [False]
        assert list(catalogue.entries()) == []

    def test_of_several_that_erase_first_at_once_all_count(self, catalogue: Catalogue) -> None:
        begin = threading.Barrier(4)
        examples = [Identity("books", f"row-{number}", f"{number:064x}") for number in range(4)]

        def erase(number: int) -> None:
            tombstones = Tombstones(catalogue)
            begin.wait()
            tombstones.add([examples[number]], Erasure.begin())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(erase, range(4)))
        assert catalogue.count(SECRET_KIND) == 1
        assert Tombstones(catalogue).refused(examples) == [True] * 4


class TestDisclosure:
    def test_nothing_names_what_was_erased(self, catalogue: Catalogue) -> None:
        Tombstones(catalogue).add([Identity("a-dataset", "a-key", "ab" * 32)], Erasure.begin("asked for"))
        text = json.dumps([tuple(entry) for entry in catalogue.entries()])
        assert not any(word in text for word in ("a-dataset", "a-key", "ab" * 32))
        assert "asked for" in text

    def test_other_stores_have_other_tombstones(self, backend: Backend) -> None:
        with open_engine("embedded") as other:
            for store in (backend, other):
                Tombstones(store.catalogue()).add([BOOK], Erasure.begin())
            names = [{key for key, _ in store.catalogue().scan(KIND)} for store in (backend, other)]
        assert len(names[0]) == len(names[1]) == 2
        assert not names[0] & names[1]


class TestSets:
    def test_say_when_why_and_how_many(self, catalogue: Catalogue) -> None:
        tombstones = Tombstones(catalogue)
        assert tombstones.sets() == []
        first, second = (
            Erasure("a request", "one", "2026-01-01T00:00:00+00:00"),
            Erasure("", "two", "2026-02-01T00:00Z"),
        )
        tombstones.add([FILM], second)
        tombstones.add([BOOK], first)
        tombstones.add([STRANGER], first)
        listed = [(one.id, one.erased_at, one.reason, one.examples) for one in tombstones.sets()]
        assert listed == [("one", first.at, "a request", 2), ("two", second.at, "", 1)]

    def test_can_be_lifted(self, catalogue: Catalogue) -> None:
        tombstones = Tombstones(catalogue)
        kept, lifted = Erasure.begin(), Erasure.begin()
        tombstones.add([FILM], kept)
        tombstones.add([BOOK, STRANGER], lifted)
        tombstones.lift(lifted.id)
        assert tombstones.refused([FILM, BOOK, STRANGER]) == [True, False, False]
        assert [one.id for one in tombstones.sets()] == [kept.id]

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
    def test_that_share_examples_are_lifted_one_by_one(self, catalogue: Catalogue, order: tuple[int, ...]) -> None:
        tombstones = Tombstones(catalogue)
        erasures = [Erasure(f"{number}", f"set-{number}", f"2026-0{number + 1}-01T00:00:00Z") for number in range(3)]
        for erasure in (*erasures, erasures[0]):
            tombstones.add([BOOK], erasure)
        left = {erasure.id for erasure in erasures}
        for number in order:
            assert tombstones.refused([BOOK, SAME_CONTENT]) == [True, True]
            assert {one.id for one in tombstones.sets()} == left
            assert all(one.examples == 1 and one.reason == one.id[-1] for one in tombstones.sets())
            tombstones.lift(erasures[number].id)
            left.discard(erasures[number].id)
        assert tombstones.refused([BOOK, SAME_CONTENT]) == [False, False]
        assert catalogue.count(KIND) == 0

    def test_that_are_made_at_once_both_count(self, catalogue: Catalogue) -> None:
        first, second = (Erasure(name, name, "2026-01-01T00:00:00Z") for name in ("first", "second"))
        insert, waiting = type(catalogue).insert, [first]

        def behind_the_first(self: Catalogue, kind: str, documents: Any, *, owner: str = "") -> None:
            if kind == KIND and waiting:
                Tombstones(catalogue).add([BOOK], waiting.pop())
            insert(self, kind, documents, owner=owner)

        with patch.object(type(catalogue), "insert", behind_the_first):
            Tombstones(catalogue).add([BOOK], second)
        assert [(one.id, one.examples) for one in Tombstones(catalogue).sets()] == [("first", 1), ("second", 1)]
        Tombstones(catalogue).lift("first")
        assert Tombstones(catalogue).refused([BOOK]) == [True]


class TestTakenOver:
    def test_tombstones_of_another_store_are_recognised_beside_our_own(self, catalogue: Catalogue) -> None:
        with open_engine("embedded") as other:
            source = other.catalogue()
            Tombstones(source).add([BOOK], Erasure.begin())
            Tombstones(catalogue).add([FILM], Erasure.begin())
            for _ in range(2):  # repeating it changes nothing
                Tombstones(catalogue).take_secrets(source)
                for kind, key, owner, document in source.entries():
                    if kind == KIND:
                        catalogue.insert(kind, {key: document}, owner=owner)
            assert catalogue.count(SECRET_KIND) == 2
            assert Tombstones(catalogue).refused([BOOK, FILM, STRANGER]) == [True, True, False]
            assert len(Tombstones(catalogue).sets()) == 2

    def test_go_back_without_a_second_secret(self, catalogue: Catalogue) -> None:
        with open_engine("embedded") as other:
            Tombstones(catalogue).add([BOOK], Erasure.begin())
            Tombstones(other.catalogue()).take_secrets(catalogue)
            Tombstones(catalogue).take_secrets(other.catalogue())
            assert catalogue.count(SECRET_KIND) == 1


IDENTITIES = st.builds(Identity, st.sampled_from(["a", "b"]), st.sampled_from("xyz"), st.sampled_from(["1", "2", "3"]))


@settings(max_examples=60, deadline=None)
@given(
    erasures=st.lists(st.lists(IDENTITIES, max_size=3), max_size=4), asked=st.lists(IDENTITIES), lift=st.integers(0, 3)
)
def test_refused_is_what_shares_key_or_content_with_what_is_erased(
    erasures: list[list[Identity]], asked: list[Identity], lift: int
) -> None:
    with open_engine("embedded") as store:
        tombstones = Tombstones(store.catalogue())
        for number, examples in enumerate(erasures):
            tombstones.add(examples, Erasure("", f"set-{number}", "2026-01-01T00:00:00Z"))
        tombstones.lift(f"set-{lift}")
        erased = [example for number, examples in enumerate(erasures) if number != lift for example in examples]
        keys = {example[:2] for example in erased}
        contents = {example.content_sha256 for example in erased}
        expected = [example[:2] in keys or example.content_sha256 in contents for example in asked]
        assert tombstones.refused(asked) == expected
