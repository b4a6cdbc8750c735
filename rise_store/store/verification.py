"""Checking a store: its files, then every row of it, over the contract that every engine keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rise_store.errors import StoreError, StoreInUseError
from rise_store.records import Space, VerifyReport
from rise_store.store.backend import Backend, Collection, StoredPoint
from rise_store.store.embedded.inspection import inspect_folder
from rise_store.store.findings import Findings
from rise_store.store.location import is_server
from rise_store.store.payload import describe_example
from rise_store.store.row_check import row_problems

# What is done, how much of it is done, and how much there is.
VerifyProgress = Callable[[str, int, int], None]

_INGEST_AGAIN = "Delete the example, then ingest it again"
_RESTORE = "Restore the store from a snapshot or a copy, or ingest into a new one"
_COUNTED_FIELDS = ("dataset", "license")


def verify_store(
    location: str,
    open_store: Callable[[str], Backend],
    progress: VerifyProgress = lambda what, done, total: None,
) -> VerifyReport:
    """Check a whole store, also one that cannot be opened: what is wrong with it, where, and what to do.

    `StoreInUseError` when a process has it open, `StoreError` when there is no store.
    """
    findings = Findings()
    found = None if is_server(location) else inspect_folder(Path(location), findings, progress)
    with open_store(location) as store:
        for name in [space.fingerprint for space in store.spaces()] if found is None else found.spaces:
            try:
                _check_space(store, store.open_collection(name), findings, progress)
            except StoreInUseError:
                raise
            except StoreError as error:
                findings.add(name, "opening", name, str(error), _RESTORE)
        if found is None or found.catalogue:
            _check_catalogue(store, findings, progress)
        elif found.catalogue is False:
            findings.check(None, "documents", 0, "not checked, since files of the catalogue are damaged")
    for name in found.damaged if found is not None else ():
        findings.check(name, "rows", 0, "not checked, since files of the space are damaged")
    return findings.report(location)


def _check_catalogue(store: Backend, findings: Findings, progress: VerifyProgress) -> None:
    read = 0
    try:
        for read, _ in enumerate(store.catalogue().entries(), 1):
            progress("documents", read, read)
    except StoreInUseError:
        raise
    except StoreError as error:
        findings.add(None, "documents", "the catalogue", str(error), _RESTORE)
    findings.check(None, "documents", read)


def _check_space(store: Backend, collection: Collection, findings: Findings, progress: VerifyProgress) -> None:
    space = collection.space
    name = space.fingerprint
    findings.check(name, "tables", 1)
    try:
        store.tables(name)
    except StoreError as error:
        findings.add(name, "tables", name, str(error), _RESTORE)
    expected = collection.count()
    tally = _Tally()
    for rows in _pages(collection.scroll(with_vectors=True)):
        for point, problem in _row_problems(rows, space):
            findings.add(name, "rows", describe_example(point.payload, point.id), problem, _INGEST_AGAIN)
        tally.add(rows)
        progress(f"rows of {name}", tally.rows, expected)
    findings.check(name, "rows", tally.rows)
    _check_totals(collection, tally, findings)


@dataclass
class _Tally:
    """What was read of the rows of a space: how many, and how many of each value of the counted fields."""

    rows: int = 0
    values: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in _COUNTED_FIELDS})

    def add(self, rows: list[StoredPoint]) -> None:
        self.rows += len(rows)
        for name, counter in self.values.items():
            counter.update(str(row.payload[name]) for row in rows if name in row.payload)


def _check_totals(collection: Collection, tally: _Tally, findings: Findings) -> None:
    name = collection.space.fingerprint
    findings.check(name, "counts", 1)
    findings.check(name, "indexes", len(_COUNTED_FIELDS))
    disagreements = _disagreements(collection, tally)
    if not disagreements:
        return
    # Others may write to a server while its rows are read: what is damaged looks the same a second time.
    again = _Tally()
    for rows in _pages(collection.scroll()):
        again.add(rows)
    if again == tally and _disagreements(collection, again) == disagreements:
        for (check, where), problem in disagreements.items():
            findings.add(name, check, where, problem, _RESTORE)
    else:
        for check, _ in disagreements:
            findings.check(name, check, 0, "not checked, since rows changed meanwhile; verify while nobody writes")


def _disagreements(collection: Collection, tally: _Tally) -> dict[tuple[str, str], str]:
    """Where what the store counts is not what was read: by check and place, the problem."""
    found: dict[tuple[str, str], str] = {}
    counted = collection.count()
    if counted != tally.rows:
        name = collection.space.fingerprint
        found["counts", name] = f"{counted:,} rows are counted, but {tally.rows:,} can be read"
    for field_name, counter in tally.values.items():
        if collection.facet(field_name, limit=max(1, 2 * len(counter))) != dict(counter):
            problem = f"the index of {field_name} disagrees with the rows, so that filters on it would miss some"
            found["indexes", field_name] = problem
    return found


def _row_problems(rows: list[StoredPoint], space: Space) -> Iterator[tuple[StoredPoint, str]]:
    for row in rows:
        for problem in row_problems(row.id, row.vector, row.payload, space):
            yield row, problem


def _pages(points: Iterator[StoredPoint]) -> Iterator[list[StoredPoint]]:
    while page := list(islice(points, 64)):
        yield page
