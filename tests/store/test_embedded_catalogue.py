"""The catalogue of a folder: kill -9, damage, full disks, forks, snapshots, and what it costs."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_examples import (
    FINGERPRINT,
    TABLES,
    kill_after,
    make_space,
    quick_folder,
    run_python,
    start_python,
)
from test_store_full_disk import run_on_small_disk
from whole_rows import whole_point, whole_vector

from rise_store.errors import StoreError
from rise_store.store import SearchRequest, open_store
from rise_store.store.embedded.catalogue import FILE
from rise_store.store.embedded.checksums import Checksums
from rise_store.store.snapshots import restore_store, snapshot_store
from rise_store.store.verification import verify_store


@pytest.fixture(scope="module")
def intact() -> Iterator[Path]:
    """A closed store with a space of one row and a catalogue of 400 documents."""
    with quick_folder() as folder:
        with open_store(folder / "store", create=True) as store:
            store.create_space(make_space(), TABLES).upsert([whole_point(1, 1)])
            documents = {f"{number:04d}": {"number": number, "text": "x" * 200} for number in range(400)}
            store.catalogue().put("receipt", documents, owner="run")
        yield folder / "store"


@pytest.fixture
def filled(intact: Path, root: Path) -> Path:
    """A copy of it."""
    shutil.copytree(intact, root)
    return root


def read(root: Path) -> int:
    with open_store(root) as store:
        return sum(1 for _ in store.catalogue().entries())


def assert_queries_work(root: Path) -> None:
    with open_store(root) as store:
        (hit,) = store.open_collection(FINGERPRINT).search([SearchRequest(whole_vector(1, 1), 1)])[0]
        assert hit.payload["example_id"] == "row-1"


class TestFolder:
    def test_is_made_when_it_is_first_asked_for(self, root: Path) -> None:
        with open_store(root, create=True) as store:
            assert not (root / "catalogue").exists()
            assert store.catalogue_bytes() == 0
            store.catalogue().put("run", {"a": {}})
            assert store.catalogue_bytes() == store.catalogue().size_bytes() > 4096
        assert sorted(path.name for path in (root / "catalogue").iterdir()) == ["checksums.json", FILE]

    def test_goes_with_a_store_that_got_no_space(self, root: Path) -> None:
        def fail() -> None:
            with open_store(root, create=True) as store:
                store.catalogue().put("run", {"a": {}})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert not root.exists()

    def test_is_opened_in_next_to_no_time_and_only_when_asked_for(self, filled: Path) -> None:
        (filled / "catalogue" / FILE).write_bytes(b"no longer a catalogue")
        assert_queries_work(filled)
        with pytest.raises(StoreError):
            read(filled)

    @pytest.mark.slow
    def test_of_ten_thousand_documents_opens_in_under_30_ms(self, root: Path) -> None:
        with open_store(root, create=True) as store:
            store.catalogue().put("receipt", {str(n): {"text": "x" * 500} for n in range(10_000)})
        seconds = []
        for _ in range(5):
            with open_store(root) as store:
                started = time.perf_counter()
                assert store.catalogue().get("receipt", ["77"])
                seconds.append(time.perf_counter() - started)
        assert min(seconds) < 0.03


class TestDamage:
    @pytest.mark.parametrize("damage", ["flip", "cut", "remove", "replace"])
    def test_is_named_and_queries_work(self, filled: Path, damage: str) -> None:
        path = filled / "catalogue" / FILE
        data = bytearray(path.read_bytes())
        if damage == "remove":
            path.unlink()
        else:
            data[len(data) // 2] ^= 4
            path.write_bytes({"flip": data, "cut": data[:-4096], "replace": b"something else"}[damage])
        for _ in range(2):
            with pytest.raises(StoreError) as caught:
                read(filled)
            assert str(path) in str(caught.value)
            assert ("is missing" if damage == "remove" else "is damaged") in str(caught.value)
        assert_queries_work(filled)
        report = verify_store(str(filled), open_store)
        assert [problem.where for problem in report.problems] == [str(path)]
        (documents,) = [check for check in report.checks if check.name == "documents"]
        assert documents.note == "not checked, since files of the catalogue are damaged"
        with pytest.raises(StoreError, match="is missing" if damage == "remove" else "is damaged"):
            snapshot_store(str(filled), filled.parent / "snapshot")
        assert not (filled.parent / "snapshot").exists()

    @pytest.mark.parametrize("damage", ["structure", "remove", "replace"])
    def test_after_an_unclean_end_is_named_too(self, filled: Path, damage: str) -> None:
        folder = filled / "catalogue"
        os.replace(folder / "checksums.json", folder / "checksums.stale.json")
        path = folder / FILE
        if damage == "remove":
            path.unlink()
        elif damage == "replace":
            path.write_bytes(b"something else" * 1000)
        else:
            data = bytearray(path.read_bytes())
            for page in range(4096, len(data), 4096):
                data[page : page + 64] = random.Random(page).randbytes(64)
            path.write_bytes(data)
        with pytest.raises(StoreError, match=rf"{FILE} is (damaged|missing)"):
            read(filled)
        assert_queries_work(filled)
        report = verify_store(str(filled), open_store)
        assert report.count == 1
        assert report.problems[0].where == "the catalogue"

    @pytest.mark.parametrize("record", ["{", "[]", ""])
    def test_of_a_document_is_found_by_verify(self, filled: Path, record: str) -> None:
        with sqlite3.connect(filled / "catalogue" / FILE) as connection:
            connection.execute("UPDATE documents SET record = ? WHERE key = '0007'", (record,))
        connection.close()
        (filled / "catalogue" / "checksums.json").unlink()
        report = verify_store(str(filled), open_store)
        assert report.count == 1
        assert "the receipt '0007' is no" in report.problems[0].problem

    def test_is_not_found_where_there_is_none(self, filled: Path) -> None:
        report = verify_store(str(filled), open_store)
        assert report.problems == ()
        checks = {(check.space, check.name): check.checked for check in report.checks}
        assert checks[None, "catalogue"] == 1
        assert checks[None, "documents"] == 400

    def test_a_stranger_in_its_folder_is_an_orphan(self, filled: Path) -> None:
        (filled / "catalogue" / "thesis.tex").write_text("mine")
        report = verify_store(str(filled), open_store)
        assert [Path(problem.where).name for problem in report.problems] == ["thesis.tex"]


class TestKills:
    def test_what_was_acknowledged_holds_and_no_write_is_half_done(self, root: Path) -> None:
        chance = random.Random(time.time_ns())
        held: dict[str, int] = {}
        for attempt in range(6):
            process = start_python(
                """
                import json, random, sys
                from rise_store.store import open_store
                store = open_store(sys.argv[1], create=True)
                attempt = int(sys.argv[2])
                chance = random.Random(attempt)
                print("ready")
                catalogue = store.catalogue()
                for step in range(100_000):
                    keys = [str(number) for number in chance.sample(range(300), 5)]
                    do = chance.choices(["put", "insert", "remove", "compact"], [8, 4, 4, 1])[0]
                    print(json.dumps([do, keys, step]))
                    if do in ("put", "insert"):
                        getattr(catalogue, do)("receipt", {key: {"step": step} for key in keys}, owner=str(attempt))
                    elif do == "remove":
                        catalogue.remove("receipt", keys)
                    else:
                        catalogue.compact()
                    print("done")
                """,
                root,
                attempt,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.3))
            lines = kill_after(process, 0)
            before = held
            for line in lines:
                if line == "done":
                    before = held
                else:
                    before, held = held, applied(held, *json.loads(line))
            with open_store(root) as store:
                found = {key: document["step"] for key, document in store.catalogue().scan("receipt")}
            assert found in (before, held)  # all of the last write, or none of it
            held = found
            assert verify_store(str(root), open_store).problems == ()
            assert Checksums(root / "catalogue").clean
        assert held

    def test_a_creation_that_was_cut_short_is_no_obstacle(self, root: Path) -> None:
        chance = random.Random(time.time_ns())
        open_store(root, create=True).close()
        for _ in range(6):
            shutil.rmtree(root / "catalogue", ignore_errors=True)
            process = start_python(
                """
                import sys
                from rise_store.store import open_store
                store = open_store(sys.argv[1])
                print("ready")
                store.catalogue()
                sys.stdin.read()
                """,
                root,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.01))
            kill_after(process, 0)
            with open_store(root) as store:
                store.catalogue().put("run", {"a": {}})
                assert store.catalogue().count("run") == 1


def applied(held: dict[str, int], do: str, keys: list[str], step: int) -> dict[str, int]:
    """What a write makes of the documents."""
    match do:
        case "put":
            return held | dict.fromkeys(keys, step)
        case "insert":
            return dict.fromkeys(keys, step) | held
        case "remove":
            return {key: value for key, value in held.items() if key not in keys}
    return held


def test_a_full_disk_refuses_writes_and_keeps_what_was_acknowledged(root: Path) -> None:
    script = """
        import os, sys
        from pathlib import Path
        from rise_store.errors import StoreFullError
        from rise_store.store import open_store
        disk = Path(sys.argv[1])
        store = open_store(disk / "store", create=True)
        acknowledged = 0
        try:
            while True:
                store.catalogue().put("receipt", {str(acknowledged): {"text": "x" * 50_000}})
                acknowledged += 1
        except StoreFullError as error:
            print(error)
        assert store.catalogue().count("receipt") == acknowledged > 20
        os.system(f"mount -o remount,size=200m {disk}")
        store.close()
        with open_store(disk / "store") as store:
            assert store.catalogue().count("receipt") == acknowledged
            store.catalogue().put("receipt", {"after": {}})
            print("resumed")
    """
    said, resumed = run_on_small_disk(script, root, "8m").splitlines()
    assert "is full: could not write its catalogue. Everything that was acknowledged is kept" in said
    assert resumed == "resumed"


def test_compacting_leaves_nothing_of_what_was_removed(root: Path) -> None:
    with open_store(root, create=True) as store:
        catalogue = store.catalogue()
        catalogue.put("run", {f"key-{n}": {"text": f"secret-{n} " * 500} for n in range(200)}, owner="owner-secret")
        catalogue.put("run", {"key-0": {"text": "replaced"}})
        catalogue.remove("run", [f"key-{n}" for n in range(1, 200)])
        before = catalogue.size_bytes()
        catalogue.compact()
        assert catalogue.size_bytes() < before / 4
        files = [path.read_bytes() for path in (root / "catalogue").iterdir()]
        assert not any(b"secret" in data for data in files)
        assert catalogue.get("run", ["key-0"]) == {"key-0": {"text": "replaced"}}


def test_snapshots_carry_it(filled: Path) -> None:
    run_python(
        """
        import os, sys
        from rise_store.store import open_store
        store = open_store(sys.argv[1])
        store.catalogue().put("run", {"unclean": {}})
        os._exit(0)
        """,
        filled,
    )
    snapshot_store(str(filled), filled.parent / "snapshot")
    restore_store(filled.parent / "snapshot", str(filled.parent / "restored"))
    assert verify_store(str(filled.parent / "restored"), open_store).problems == ()
    assert read(filled.parent / "restored") == read(filled) == 401


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_may_not_use_it_and_does_it_no_harm(root: Path) -> None:
    output = run_python(
        """
        import gc, os, sys, warnings
        from rise_store.errors import StoreError
        from rise_store.store import open_store
        warnings.simplefilter("ignore", DeprecationWarning)
        store = open_store(sys.argv[1], create=True)
        catalogue = store.catalogue()
        catalogue.put("run", {"a": {}})
        child = os.fork()
        if child == 0:
            try:
                catalogue.get("run", ["a"])
            except StoreError as error:
                print(error)
            catalogue.close()
            del catalogue, store
            gc.collect()
            sys.exit()
        os.waitpid(child, 0)
        catalogue.put("run", {"b": {}})
        print(catalogue.count("run"))
        store.close()
        with open_store(sys.argv[1]) as store:
            print(store.catalogue().count("run"))
        """,
        root,
    )
    refused, *counts = output.splitlines()
    assert "cannot be used in its forked child" in refused
    assert counts == ["2", "2"]
