"""What is deleted with tombstones never comes back, by whatever way it tries."""

from __future__ import annotations

from pathlib import Path

import pytest

from rise_store import AttributionStore, ConfigError
from rise_store.lifecycle import migrate_spaces
from rise_store.signature import SignatureEncoder
from rise_store.store import Collection, Equals, Erasure, Identity, Tombstones, open_store
from rise_store.store.server import ServerBackend
from rise_store.store.server.connection import Connection
from tests.ingest.examples import OpenStore
from tests.lifecycle.material import NOTES, TALES, contents
from tests.lifecycle.rise_index import write_index
from tests.store.local_qdrant import LocalQdrant


def erase(store: AttributionStore, *ids: str, dataset: str = "tales", reason: str = "") -> str:
    """Delete tales with tombstones; the id of the set."""
    report = store.delete(ids, dataset=dataset, tombstone=True, reason=reason, yes=True)
    assert report.deleted == report.tombstones == len(ids)
    assert report.erasure is not None
    return report.erasure


class TestIngesting:
    def test_the_same_rows_is_refused_and_counted(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        erase(store, "row-1", "row-2")
        report = store.ingest(TALES, dataset="tales", model=encoder)
        assert (report.refused, report.unchanged, report.new) == (2, 6, 0)
        assert not {("tales", "row-1"), ("tales", "row-2")} & store.points.keys()

    def test_another_text_under_the_key_is_refused(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        erase(store, "row-1")
        rewritten = [{"id": "row-1", "text": "A new story that was never told before."}]
        assert store.ingest(rewritten, dataset="tales", model=encoder).refused == 1
        assert store.ingest(rewritten, dataset="others", model=encoder).new == 1

    def test_the_text_in_another_dataset_is_refused(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        erase(store, "row-1")
        report = store.ingest([{"id": "mine", "text": TALES[1]["text"]}], dataset="others", model=encoder)
        assert (report.refused, report.new) == (1, 0)

    def test_deleted_without_tombstones_is_as_before(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        report = store.delete(["row-1"], dataset="tales", yes=True)
        assert (report.erasure, report.tombstones) == (None, 0)
        assert store.ingest(TALES, dataset="tales", model=encoder).new == 1


class TestDeleting:
    def test_tells_of_equal_texts_that_stay(self, store: OpenStore) -> None:
        # row-7 is in both datasets, with the same text
        report = store.delete(["row-7", "row-6"], dataset="tales", tombstone=True, yes=True)
        assert (report.deleted, report.tombstones, report.equal_elsewhere) == (2, 2, 1)
        assert ("notes", "row-7") in store.points

    def test_tells_of_none_that_went_too(self, store: OpenStore) -> None:
        report = store.delete(["row-7"], tombstone=True, yes=True)
        assert (report.deleted, report.tombstones, report.equal_elsewhere) == (2, 2, 0)

    def test_without_yes_writes_nothing(self, store: OpenStore) -> None:
        before = list(store.backend.catalogue().entries())
        report = store.delete(["row-1"], tombstone=True)
        assert (report.matched, report.deleted, report.erasure) == (1, 0, None)
        assert list(store.backend.catalogue().entries()) == before

    def test_what_is_not_stored_makes_no_tombstones(self, store: OpenStore) -> None:
        report = store.delete(["row-99"], tombstone=True, yes=True)
        assert (report.deleted, report.erasure, report.unknown_ids) == (0, None, ("row-99",))
        assert store.tombstones().sets == ()

    def test_a_reason_wants_tombstones(self, store: OpenStore) -> None:
        with pytest.raises(ConfigError, match="a reason is kept with tombstones"):
            store.delete(["row-1"], reason="request", yes=True)

    def test_that_is_cut_short_leaves_nothing_that_could_come_back(
        self, store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (space,) = store.backend.spaces()
        collection = store.backend.open_collection(space.fingerprint)

        def killed(self: Collection, ids: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(type(collection), "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            store.delete(dataset="tales", tombstone=True, yes=True)
        monkeypatch.undo()
        assert len(store.dataset("tales")) == 8
        identities = [
            Identity("tales", name, p.payload["content_sha256"]) for name, p in store.dataset("tales").items()
        ]
        assert Tombstones(store.backend.catalogue()).refused(identities) == [True] * 8
        report = store.delete(dataset="tales", tombstone=True, yes=True)
        assert (report.deleted, report.tombstones) == (8, 0)
        assert store.ingest(TALES, dataset="tales", model=encoder).refused == 8


class TestListing:
    def test_says_when_why_and_how_many(self, store: OpenStore) -> None:
        assert (store.tombstones().sets, store.tombstones().examples) == ((), 0)
        first = erase(store, "row-1", "row-2", reason="request 17")
        second = erase(store, "row-8", dataset="notes")
        report = store.tombstones()
        found = {one.id: (one.reason, one.examples) for one in report.sets}
        assert found == {first: ("request 17", 2), second: ("", 1)}
        assert report.examples == 3

    def test_a_mistake_can_be_lifted(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        mistake, kept = erase(store, "row-1", "row-2"), erase(store, "row-3")
        shown = store.tombstones(lift=mistake)
        assert shown.lifted is not None
        assert (shown.lifted.id, shown.dry_run, len(shown.sets)) == (mistake, True, 2)
        done = store.tombstones(lift=mistake, yes=True)
        assert (done.dry_run, [one.id for one in done.sets]) == (False, [kept])
        report = store.ingest(TALES, dataset="tales", model=encoder)
        assert (report.new, report.refused) == (2, 1)
        with pytest.raises(ConfigError, match=f"there are no tombstones '{mistake}' to lift; sets: {kept}"):
            store.tombstones(lift=mistake, yes=True)


class TestImporting:
    @pytest.mark.parametrize("name", ["e.npz", "e.parquet"])
    def test_an_older_export_is_refused_what_was_erased_since(self, store: OpenStore, folder: Path, name: str) -> None:
        store.export(folder / name)
        erase(store, "row-1", "row-2")
        before = contents(store)
        report = store.import_file(folder / name)
        assert (report.new, report.unchanged, report.refused, report.stored) == (0, 10, 2, 10)
        assert contents(store) == before

    def test_an_index_is_refused_what_was_erased(
        self, store: OpenStore, folder: Path, tiny_model: Path, encoder: SignatureEncoder
    ) -> None:
        index = write_index(folder / "index", encoder, [row["text"] for row in TALES])
        erase(store, "row-1")
        report = store.import_index(index, dataset="index", model=tiny_model, device="cpu")
        assert (report.new, report.refused, report.rejected) == (7, 1, 0)


class TestMigrating:
    def test_takes_everything_but_what_was_erased_along(
        self, store: OpenStore, folder: Path, encoder: SignatureEncoder
    ) -> None:
        erase(store, "row-1", reason="request 17")
        held = {(e.kind, e.key): e for e in store.backend.catalogue().entries()}
        report = store.migrate_to(folder / "copy")
        assert report.documents == len([kind for kind, _ in held if kind != "tombstone-secret"]) > 2
        assert (report.spaces[0].copied, report.spaces[0].refused) == (11, 0)
        assert store.migrate_to(folder / "copy").documents == 0
        with open_store(folder / "copy") as backend:
            copy = OpenStore(backend)
            copied = {(e.kind, e.key): e for e in backend.catalogue().entries() if e.kind != "tombstone-secret"}
            assert copied == {name: entry for name, entry in held.items() if name[0] != "tombstone-secret"}
            assert copy.ingest(TALES, dataset="tales", model=encoder).refused == 1
            assert [one.reason for one in copy.tombstones().sets] == ["request 17"]

    def test_what_the_target_erased_stays_erased_there(self, store: OpenStore, folder: Path) -> None:
        with open_store(folder / "copy", create=True) as backend:
            migrate_spaces(store.backend, backend, store.backend.spaces())
            erase(OpenStore(backend), "row-1", "row-2")
        (space,) = store.migrate_to(folder / "copy").spaces
        assert (space.copied, space.unchanged, space.refused, space.only_in_target) == (0, 10, 2, 0)
        with open_store(folder / "copy") as backend:
            assert len(contents(backend)) == 10

    def test_keeps_the_tombstones_of_both_stores(self, store: OpenStore, encoder: SignatureEncoder) -> None:
        with ServerBackend(Connection(LocalQdrant(), "local mode"), create=True) as server:
            migrate_spaces(store.backend, server, store.backend.spaces())
            erase(OpenStore(server), "row-1")
            erase(store, "row-2")
            (space,) = migrate_spaces(store.backend, server, store.backend.spaces()).spaces
            # row-2 was copied before it was erased here: deleting it there is the user's business
            assert (space.refused, space.unchanged, space.only_in_target) == (1, 10, 1)
            OpenStore(server).delete(["row-2"], dataset="tales", yes=True)
            assert OpenStore(server).ingest(TALES, dataset="tales", model=encoder).refused == 2
            assert len(OpenStore(server).tombstones().sets) == 2

    def test_what_both_stores_erased_stays_until_both_erasures_are_lifted(self, store: OpenStore, folder: Path) -> None:
        (identity,) = [Identity("tales", "row-1", store.points["tales", "row-1"].payload["content_sha256"])]
        there = Erasure("there", "there", "2026-01-01T00:00:00Z")
        here = Erasure("here", "here", "2026-02-01T00:00:00Z")
        Tombstones(store.backend.catalogue()).add([identity], there)
        store.migrate_to(folder / "copy")
        Tombstones(store.backend.catalogue()).add([identity], here)
        assert store.migrate_to(folder / "copy").documents == 2  # by key and by content
        assert store.migrate_to(folder / "copy").documents == 0
        with open_store(folder / "copy") as backend:
            tombstones = Tombstones(backend.catalogue())
            assert [one.id for one in tombstones.sets()] == ["there", "here"]
            tombstones.lift("there")
            assert tombstones.refused([identity]) == [True]
            tombstones.lift("here")
            assert tombstones.refused([identity]) == [False]

    def test_an_equal_text_that_the_target_holds_stays(self, store: OpenStore, folder: Path) -> None:
        with open_store(folder / "copy", create=True) as backend:
            migrate_spaces(store.backend, backend, store.backend.spaces())
        erase(store, "row-7")  # an equal text stays in the notes
        (space,) = store.migrate_to(folder / "copy").spaces
        assert (space.copied, space.unchanged, space.refused, space.only_in_target) == (0, 11, 0, 1)
        (space,) = store.migrate_to(folder / "new").spaces
        assert (space.copied, space.refused, space.examples) == (10, 1, 11)

    def test_leaves_runs_of_other_spaces_and_finished_ones_alone(self, store: OpenStore, folder: Path) -> None:
        source = store.backend.catalogue()
        (space,) = store.backend.spaces()
        source.put("run", {"other": {"space": "cafe", "state": "COMPLETE"}}, owner="tales")
        source.put("receipt", {"other/1": {}}, owner="other")
        source.put("run", {"mine": {"space": space.fingerprint, "state": "RUNNING"}}, owner="tales")
        store.migrate_to(folder / "copy")
        source.put("run", {"mine": {"space": space.fingerprint, "state": "COMPLETE"}}, owner="tales")
        assert store.migrate_to(folder / "copy").documents == 1
        source.put("run", {"mine": {"space": space.fingerprint, "state": "FAILED"}}, owner="tales")
        assert store.migrate_to(folder / "copy").documents == 0
        with open_store(folder / "copy") as backend:
            found = backend.catalogue().get("run", ["other", "mine"])
            assert found == {"mine": {"space": space.fingerprint, "state": "COMPLETE"}}
            assert backend.catalogue().count("receipt", owner="other") == 0


def test_compacting_the_store_compacts_its_catalogue(store: OpenStore, folder: Path) -> None:
    catalogue = store.backend.catalogue()
    catalogue.put("note", {"a": {"text": "not to be found again"}})
    catalogue.remove("note", ["a"])
    store.compact()
    files = [path.read_bytes() for path in (folder / "store" / "catalogue").iterdir()]
    assert not any(b"not to be found again" in data for data in files)


def test_info_counts_the_catalogue(store: OpenStore) -> None:
    Tombstones(store.backend.catalogue()).add([Identity("a", "b", "c")], Erasure.begin())
    assert store.info().catalogue_bytes == store.backend.catalogue().size_bytes()


class TestVanishedRows:
    """`read_from` and `vanished_in` go wherever payloads go."""

    @pytest.fixture
    def marked(self, store: OpenStore) -> OpenStore:
        (space,) = store.backend.spaces()
        collection = store.backend.open_collection(space.fingerprint)
        collection.mark(Equals("example_id", "row-2"), "vanished_in", "v2")
        row = store.points["tales", "row-2"]
        origin = {"file": "tales.jsonl", "row": 3, "start": 100, "end": 180}
        collection.set_payload({row.id: {**row.payload, "read_from": origin}})
        return store

    @pytest.mark.parametrize("name", ["e.npz", "e.parquet"])
    def test_exports(self, marked: OpenStore, empty: OpenStore, folder: Path, name: str) -> None:
        marked.export(folder / name)
        empty.import_file(folder / name)
        assert contents(empty) == contents(marked)

    def test_answers(self, marked: OpenStore, encoder: SignatureEncoder) -> None:
        hit = marked.attribute(TALES[2]["text"], k=1, model=encoder).results[0]
        assert hit.vanished_in == "v2"
        assert hit.read_from is not None
        assert (hit.read_from.file, hit.read_from.row, hit.read_from.end) == ("tales.jsonl", 3, 180)
        other = marked.attribute(NOTES[2]["text"], k=1, model=encoder).results[0]
        assert (other.vanished_in, other.read_from) == (None, None)

    def test_filters(self, marked: OpenStore) -> None:
        assert marked.delete(where="vanished_in = v2").matched == 1
        assert marked.delete(where="not vanished_in exists").matched == 11
        assert marked.delete(where="read_from.file = tales.jsonl and read_from.row <= 3").matched == 1

    def test_annotating_them_is_refused(self, marked: OpenStore) -> None:
        for field in ("vanished_in", "read_from", "read_from.file"):
            with pytest.raises(ConfigError, match="cannot be changed"):
                marked.annotate("dataset=tales", set={field: "x"})
