"""`verify` finds what is wrong, names it, and says what to do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback_qdrant import LoopbackQdrant, serving
from qdrant_client import models
from store_examples import FINGERPRINT, TABLES, make_id, make_space, quick_folder, run_python
from whole_rows import whole_payload, whole_point, whole_vector

from rise_store.errors import StoreError
from rise_store.records import VerifyReport
from rise_store.store import Collection, Point, open_store
from rise_store.store.verification import verify_store


@pytest.fixture(scope="module")
def intact() -> Iterator[Path]:
    with quick_folder() as folder:
        with open_store(folder / "store", create=True) as store:
            store.create_space(make_space(), TABLES).upsert([whole_point(number) for number in range(130)])
        yield folder / "store"


@pytest.fixture
def root(intact: Path, root: Path) -> Path:
    shutil.copytree(intact, root)
    return root


def verified(root: Path) -> VerifyReport:
    return verify_store(str(root), open_store)


def only_problem(root: Path) -> tuple[str, str]:
    report = verified(root)
    assert report.count == len(report.problems) == 1, report.problems
    return report.problems[0].where, report.problems[0].problem


def change(root: Path, points: list[Point]) -> None:
    with open_store(root) as store:
        store.open_collection(FINGERPRINT).upsert(points)


def test_a_whole_store(root: Path) -> None:
    report = verified(root)
    assert report.count == 0
    assert report.problems == ()
    checked = {check.name: check.checked for check in report.checks if check.space == FINGERPRINT}
    assert checked["rows"] == 130
    assert checked["files"] > 100
    assert checked.keys() == {"files", "tables", "rows", "counts", "indexes"}
    assert verified(root).count == 0


def test_an_empty_store(root: Path) -> None:
    shutil.rmtree(root)
    open_store(root, create=True).close()
    assert verified(root).count == 0


def test_a_store_whose_process_died_while_it_was_made(root: Path) -> None:
    shutil.rmtree(root / "spaces")
    assert verified(root).count == 0


def test_the_lock_of_a_copy_whose_process_died_at_its_end_is_no_problem(root: Path) -> None:
    (root / ".draft-lock").touch()
    assert verified(root).count == 0


def test_tables_that_are_marked_as_encrypted(root: Path) -> None:
    path = root / "spaces" / FINGERPRINT / "tables.npz"
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] ^= 1  # the flags of the last entry
    path.write_bytes(data)
    (path.parent / "checksums.json").unlink()
    where, problem = only_problem(root)
    assert where == FINGERPRINT
    assert "cannot be read: File 'hidden_sign.npy' is encrypted" in problem


@pytest.mark.parametrize("pattern", ["page_0.dat", "chunk_0.mmap", "space.json", "tables.npz", "segment.json"])
def test_decay_on_the_disk_is_found_by_content(root: Path, pattern: str) -> None:
    path = sorted((root / "spaces" / FINGERPRINT).rglob(pattern))[0]
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    report = verified(root)
    assert any(problem.where in (str(path), str(path.parent)) for problem in report.problems)
    assert any(check.name == "rows" and "not checked" in (check.note or "") for check in report.checks)


def test_missing_and_additional_files(root: Path) -> None:
    space = root / "spaces" / FINGERPRINT
    gone = next(space.rglob("page_0.dat"))
    gone.unlink()
    (space / "points" / "stray").write_text("")
    (space / "notes.txt").write_text("")
    (root / "thesis.tex").write_text("")
    problems = {problem.where: problem.problem for problem in verified(root).problems}
    assert "is missing" in problems[str(gone)]
    assert "appeared" in problems[str(space / "points" / "stray")]
    assert "belongs to nothing" in problems[str(root / "thesis.tex")]
    assert "belongs to nothing" in problems[str(space / "notes.txt")]


def test_a_space_folder_with_another_name(root: Path) -> None:
    os.rename(root / "spaces" / FINGERPRINT, root / "spaces" / "cafe")
    assert any("belongs to the space" in problem.problem for problem in verified(root).problems)


def test_leftovers_of_a_crash_are_no_problem(root: Path) -> None:
    (root / "spaces" / ".new-0123").mkdir()
    report = verified(root)
    assert report.count == 0
    assert any("1 left by a process that died" in (check.note or "") for check in report.checks)


def test_after_a_crash_it_says_what_it_could_not_check(root: Path) -> None:
    script = """
        import os, sys
        from store_examples import *
        from whole_rows import *
        from rise_store.store import open_store
        open_store(sys.argv[1]).open_collection(FINGERPRINT).upsert([whole_point(700)])
        os._exit(0)
    """
    run_python(script, root)
    report = verified(root)
    assert report.count == 0
    assert any("could not be checked" in (check.note or "") for check in report.checks)
    assert all(check.note is None for check in verified(root).checks)


class TestRows:
    def test_a_signature_of_another_length(self, root: Path) -> None:
        change(root, [Point(make_id(3), whole_vector(3) * 2, whole_payload(3))])
        where, problem = only_problem(root)
        assert where == "example 'row-3' of dataset 'books'"
        assert re.fullmatch(r"has a signature of length (1\.99|2\.00)\d\d instead of 1", problem)

    def test_channel_norms_of_another_signature(self, root: Path) -> None:
        change(root, [Point(make_id(3), whole_vector(4), whole_payload(3))])
        where, problem = only_problem(root)
        assert where == "example 'row-3' of dataset 'books'"
        assert "channel norms" in problem

    def test_a_point_with_another_id(self, root: Path) -> None:
        change(root, [Point(make_id(1000), whole_vector(3), whole_payload(3))])
        where, problem = only_problem(root)
        assert where == "example 'row-3' of dataset 'books'"
        assert f"is point {make_id(1000)} instead of {make_id(3)}" in problem

    @pytest.mark.parametrize("field", ["example_id", "run_id", "channel_norms", "tokens"])
    def test_a_payload_without_a_required_field(self, root: Path, field: str) -> None:
        payload = whole_payload(3)
        del payload[field]
        change(root, [Point(make_id(3), whole_vector(3), payload)])
        assert only_problem(root)[1] == f"has no {field} in its payload"

    @pytest.mark.parametrize("norm", [None, "0.5", [0.5], {"x": 1}])
    def test_channel_norms_that_are_no_numbers(self, root: Path, norm: object) -> None:
        payload = whole_payload(3)
        payload["channel_norms"]["rh"] = norm
        change(root, [Point(make_id(3), whole_vector(3), payload)])
        assert re.match("has the channel_norms .* numbers rh and gh", only_problem(root)[1])

    @pytest.mark.parametrize(("field", "value"), [("text", 5), ("tokens", "x"), ("license", ["MIT"])])
    def test_a_field_of_another_type(self, root: Path, field: str, value: object) -> None:
        change(root, [Point(make_id(3), whole_vector(3), {**whole_payload(3), field: value})])
        problems = [problem.problem for problem in verified(root).problems]
        assert any(f"has the {field} {value!r} in its payload, which is not " in problem for problem in problems)

    def test_many_problems_are_counted_and_some_are_listed(self, root: Path) -> None:
        change(root, [Point(make_id(number), whole_vector(number) * 3, whole_payload(number)) for number in range(120)])
        report = verified(root)
        assert report.count == 120
        assert len(report.problems) == 100


def test_signatures_are_checked_for_nan(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rise_store.store.embedded import collection

    monkeypatch.setattr(collection, "check_signatures", lambda points, dim: None)
    change(root, [Point(make_id(3), np.full(24, np.nan, np.float32), whole_payload(3))])
    assert "NaN or Inf" in only_problem(root)[1]


def test_progress_is_told(root: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    verify_store(str(root), open_store, lambda what, done, total: seen.update({what: (done, total)}))
    assert seen[f"rows of {FINGERPRINT}"] == (130, 130)
    done, total = seen[f"files of {FINGERPRINT}"]
    assert done == total > 100


def test_no_store_is_an_error(root: Path) -> None:
    shutil.rmtree(root)
    with pytest.raises(StoreError, match="there is no rise_store store"):
        verified(root)


def test_it_works_over_the_contract(root: Path) -> None:
    def use(collection: Collection) -> None:
        assert collection.count() == 130

    with open_store(root) as store:
        use(store.open_collection(FINGERPRINT))
        report = verify_store("http://somewhere", lambda location: store)
    assert report.count == 0
    assert {check.name for check in report.checks} == {"tables", "rows", "counts", "indexes", "documents"}


class TestOnAServer:
    @pytest.fixture
    def server(self) -> Iterator[LoopbackQdrant]:
        with serving() as server:
            with open_store(server.url, create=True) as store:
                store.create_space(make_space(), TABLES).upsert([whole_point(number) for number in range(130)])
            yield server

    @pytest.mark.parametrize("writing", ["new rows", "fewer rows", "another licence"])
    def test_rows_that_change_meanwhile_are_no_damage(self, server: LoopbackQdrant, writing: str) -> None:
        with open_store(server.url) as other:
            collection = other.open_collection(FINGERPRINT)
            first = next(iter(collection.scroll()))

            def write(what: str, done: int, total: int) -> None:
                if done == 64:
                    if writing == "new rows":
                        collection.upsert([whole_point(number) for number in range(200, 300)])
                    elif writing == "fewer rows":
                        collection.delete([first.id])
                    else:
                        collection.set_payload({first.id: {**first.payload, "license": "mit"}})

            report = verify_store(server.url, open_store, write)
        assert report.problems == ()
        checks = {check.name: check for check in report.checks}
        moved = "indexes" if writing == "another licence" else "counts"
        assert (checks[moved].checked, checks[moved].problems) == (0, 0)
        assert "rows changed meanwhile" in (checks[moved].note or "")
        assert checks["rows"].checked >= 130
        assert all(check.note is None for check in verify_store(server.url, open_store).checks)

    def test_what_disagrees_twice_is_damage(self, server: LoopbackQdrant, monkeypatch: pytest.MonkeyPatch) -> None:
        counted, by_value = server.local.count, server.local.facet
        monkeypatch.setattr(
            server.local, "count", lambda *args, **more: models.CountResult(count=counted(*args, **more).count + 1)
        )

        def facet(name: str, key: str, **more: Any) -> models.FacetResponse:
            found = by_value(name, key, **more)
            return models.FacetResponse(hits=[]) if key == "dataset" else found

        monkeypatch.setattr(server.local, "facet", facet)
        found = {problem.where: problem.problem for problem in verify_store(server.url, open_store).problems}
        assert found.keys() == {FINGERPRINT, "dataset"}
        assert found[FINGERPRINT] == "131 rows are counted, but 130 can be read"
        assert "the index of dataset disagrees with the rows" in found["dataset"]
