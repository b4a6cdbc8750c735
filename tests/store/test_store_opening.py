"""Opening, creating, locking and refusing the folder of an embedded store."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest
from store_examples import FINGERPRINT, TABLES, make_point, make_space, make_vector, run_python, start_python

from rise_store.errors import StoreError, StoreInUseError
from rise_store.store import SearchRequest, open_store
from rise_store.store.embedded.checksums import Checksums


def test_a_store_outlives_the_process_that_made_it(root: Path) -> None:
    with open_store(root, create=True) as store:
        store.create_space(make_space(), TABLES).upsert([make_point(1)])
    with open_store(str(root)) as store:
        assert store.location == str(root)
        assert store.spaces() == [make_space()]
        assert store.open_collection(FINGERPRINT).count() == 1


def test_its_folder_says_what_it_is(root: Path) -> None:
    with open_store(root, create=True) as store:
        store.create_space(make_space(), TABLES)
        header = json.loads((root / "store.json").read_text())
        assert header.keys() == {"format", "created_at", "created_with"}
        assert header["format"] == 3
        assert (root / "lock").read_text().strip() == str(os.getpid())
        names = {path.name for path in (root / "spaces" / FINGERPRINT).iterdir()}
        assert names == {"space.json", "tables.npz", "state.json", "points", "checksums.stale.json"}


@pytest.mark.parametrize("older", [1, 2])
def test_a_store_of_an_older_format_is_read_and_marked(root: Path, older: int) -> None:
    with open_store(root, create=True) as store:
        store.create_space(make_space(), TABLES).upsert([make_point(1)])
    header = json.loads((root / "store.json").read_text())
    (root / "store.json").write_text(json.dumps({**header, "format": older}))
    record = root / "spaces" / FINGERPRINT / "space.json"
    old = {key: value for key, value in json.loads(record.read_text()).items() if key != "storage"}
    record.write_text(json.dumps(old))
    (record.parent / "checksums.json").unlink()  # which stores of format 1 do not have

    with open_store(root) as store:
        assert store.spaces() == [make_space()]
        collection = store.open_collection(FINGERPRINT)
        collection.upsert([make_point(2)])
        assert collection.search([SearchRequest(make_vector(1), 2)])[0]
    assert json.loads((root / "store.json").read_text()) == header
    with open_store(root) as store:
        assert store.open_collection(FINGERPRINT).count() == 2


def test_create_makes_missing_folders_and_takes_an_empty_one(root: Path) -> None:
    open_store(root / "a" / "b", create=True).close()
    (root / "empty").mkdir()
    open_store(root / "empty", create=True).close()
    open_store(root / "empty", create=True).close()


class TestRefused:
    def test_a_missing_folder(self, root: Path) -> None:
        with pytest.raises(StoreError, match=f"there is no rise_store store at {root}.*ingesting creates a store"):
            open_store(root)
        assert not root.exists()

    def test_an_empty_folder(self, root: Path) -> None:
        root.mkdir()
        with pytest.raises(StoreError, match="there is no rise_store store"):
            open_store(root)
        assert list(root.iterdir()) == []

    @pytest.mark.parametrize("create", [True, False])
    def test_a_folder_of_something_else(self, root: Path, create: bool) -> None:
        root.mkdir()
        (root / "thesis.tex").write_text("mine")
        with pytest.raises(
            StoreError, match=r"is not a rise_store store: it has files \(thesis.tex, ...\) but no store.json"
        ):
            open_store(root, create=create)
        assert [path.name for path in root.iterdir()] == ["thesis.tex"]

    def test_a_store_without_its_store_json(self, root: Path) -> None:
        open_store(root, create=True).close()
        (root / "store.json").unlink()
        with pytest.raises(StoreError, match=r"no store\.json"):
            open_store(root, create=True)

    def test_a_file(self, root: Path) -> None:
        root.write_text("")
        with pytest.raises(StoreError, match="is a file, not a rise_store store"):
            open_store(root, create=True)

    @pytest.mark.parametrize("header", ["", "[]", "{}", "\udcff"])
    def test_a_damaged_header(self, root: Path, header: str) -> None:
        open_store(root, create=True).close()
        (root / "store.json").write_text(header, errors="surrogateescape")
        with pytest.raises(StoreError, match=r"store\.json is damaged"):
            open_store(root)

    def test_an_unknown_format(self, root: Path) -> None:
        open_store(root, create=True).close()
        (root / "store.json").write_text('{"format": 4, "created_with": "9.9.9"}')
        with pytest.raises(StoreError, match=r"has format 4.*reads format 3.*9\.9\.9"):
            open_store(root)

    @pytest.mark.parametrize("fingerprint", ["", "..", "a/b", ".new-1", "a.b"])
    def test_a_fingerprint_that_is_no_folder_name(self, root: Path, fingerprint: str) -> None:
        with open_store(root, create=True) as store, pytest.raises(StoreError, match="is not the fingerprint"):
            store.open_collection(fingerprint)

    @pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write everywhere")
    def test_a_folder_that_may_not_be_written(self, root: Path) -> None:
        root.mkdir(mode=0o500)
        with pytest.raises(StoreError, match=r"Permission denied.*Check the folder's permissions"):
            open_store(root, create=True)


class TestLock:
    def test_another_process_is_told_who_has_it(self, root: Path) -> None:
        with open_store(root, create=True):
            told = run_python(
                """
                import sys
                from rise_store.errors import StoreInUseError
                from rise_store.store import SearchRequest, open_store
                try:
                    open_store(sys.argv[1])
                except StoreInUseError as error:
                    print(error)
                """,
                root,
            )
        assert f"the store at {root} is in use by process {os.getpid()}. Wait until it ends, or stop it" in told

    def test_this_process_opens_it_once(self, root: Path) -> None:
        with open_store(root, create=True):
            with pytest.raises(StoreInUseError, match="already open in this process"):
                open_store(root)
            link = root.parent / "link"
            link.symlink_to(root)
            with pytest.raises(StoreInUseError, match="already open in this process"):
                open_store(link)
        open_store(root).close()

    def test_a_refused_opening_leaves_the_lock_alone(self, root: Path) -> None:
        with open_store(root, create=True) as store:
            for _ in range(3):
                with pytest.raises(StoreInUseError):
                    open_store(root)
            assert store.spaces() == []

    def test_a_failed_opening_frees_the_lock(self, root: Path) -> None:
        open_store(root, create=True).close()
        spaces = root / "spaces"
        spaces.rmdir()
        spaces.write_text("in the way")
        with pytest.raises(StoreError):
            open_store(root)
        spaces.unlink()
        open_store(root).close()

    def test_ctrl_c_while_closing_frees_it_and_closes_all_spaces(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        finish = Checksums.finish

        def interrupted(checksums: Checksums) -> None:
            monkeypatch.setattr(Checksums, "finish", finish)
            raise KeyboardInterrupt

        store = open_store(root, create=True)
        for fingerprint in ("aa", "bb"):
            store.create_space(make_space(fingerprint), TABLES).upsert([make_point(1)])
        monkeypatch.setattr(Checksums, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.close()
        assert [Checksums(root / "spaces" / name).clean for name in ("aa", "bb")] == [False, True]
        with open_store(root) as store:
            assert [store.open_collection(name).count() for name in ("aa", "bb")] == [1, 1]

    def test_a_killed_process_leaves_it_free(self, root: Path) -> None:
        process = start_python(
            """
            import sys, time
            from rise_store.store import SearchRequest, open_store
            store = open_store(sys.argv[1], create=True)
            print("open")
            time.sleep(60)
            """,
            root,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StoreInUseError, match=f"in use by process {process.pid}"):
            open_store(root)
        process.kill()
        process.communicate()
        open_store(root).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestForkedChild:
    def test_may_not_use_the_store_and_does_it_no_harm(self, root: Path) -> None:
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            collection.upsert([make_point(1)])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
                child = os.fork()
            if child == 0:  # pragma: no cover
                refusals = 0
                for use in (collection.count, collection.tidy, lambda: collection.upsert([make_point(2)])):
                    try:
                        use()
                    except StoreError as error:
                        refusals += "forked child" in str(error)
                store.close()
                os._exit(refusals)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 3
            with pytest.raises(StoreInUseError):  # the child closed its copy, but the lock is ours
                open_store(root)
            collection.upsert([make_point(2)])
            assert collection.count() == 2

    def test_that_exits_by_itself_does_the_store_no_harm(self, root: Path) -> None:
        told = run_python(
            """
            import os, sys, warnings
            from store_examples import *
            from rise_store.store import SearchRequest, open_store
            with open_store(sys.argv[1], create=True) as store:
                collection = store.create_space(make_space(), TABLES)
                collection.upsert([make_point(1)])
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
                if child == 0:
                    sys.exit(0)
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                collection.upsert([make_point(2)])
                print(collection.count())
            """,
            root,
        )
        assert told.split() == ["0", "2"]
        with open_store(root) as store:
            assert store.open_collection(FINGERPRINT).count() == 2


def test_spawned_processes_take_turns(root: Path) -> None:
    script = """
        import sys
        from store_examples import *
        from rise_store.store import SearchRequest, open_store
        with open_store(sys.argv[1], create=True) as store:
            if not store.spaces():
                store.create_space(make_space(), TABLES)
            collection = store.open_collection(FINGERPRINT)
            collection.upsert([make_point(collection.count())])
            print(collection.count())
    """
    assert [run_python(script, root).strip() for _ in range(3)] == ["1", "2", "3"]


def test_the_store_knows_no_torch() -> None:
    script = (
        "import sys, rise_store.store; print([m for m in sys.modules if m.split('.')[0] in ('torch', 'transformers')])"
    )
    assert run_python(script).strip() == "[]"
