"""Checking a store: its files, then every row of it, over the contract that every engine keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from rise_store.errors import StoreError, StoreInUseError
from rise_store.records import Space, VerifyReport
from rise_store.store.backend import Backend, Collection, StoredPoint
from rise_store.store.embedded.inspection import inspect_folder
from rise_store.store.findings import Findings
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
    names: list[str] | None = None
    damaged: list[str] = []
    if not location.startswith(("http://", "https://")):
        names, damaged = inspect_folder(Path(location), findings, progress)
    with open_store(location) as store:
        for name in [space.fingerprint for space in store.spaces()] if names is None else names:
            try:
                _check_space(store, store.open_collection(name), findings, progress)
            except StoreInUseError:
                raise
            except StoreError as error:
                findings.add(name, "opening", name, str(error), _RESTORE)
    for name in damaged:
        findings.check(name, "rows", 0, "not checked, since files of the space are damaged")
    return findings.report(location)


def _check_space(store: Backend, collection: Collection, findings: Findings, progress: VerifyProgress) -> None:
    space = collection.space
    name = space.fingerprint
    findings.check(name, "tables", 1)
    try:
        store.tables(name)
    except StoreError as error:
        findings.add(name, "tables", name, str(error), _RESTORE)
    expected = collection.count()
    seen = 0
    values: dict[str, Counter[str]] = {field: Counter() for field in _COUNTED_FIELDS}
    for rows in _pages(collection.scroll(with_vectors=True)):
        for point, problem in _row_problems(rows, space):
            findings.add(name, "rows", describe_example(point.payload, point.id), problem, _INGEST_AGAIN)
        for field, counter in values.items():
            counter.update(str(row.payload[field]) for row in rows if field in row.payload)
        seen += len(rows)
        progress(f"rows of {name}", seen, expected)
    findings.check(name, "rows", seen)
    findings.check(name, "counts", 1)
    if seen != expected:
        findings.add(name, "counts", name, f"{expected:,} rows are counted, but {seen:,} can be read", _RESTORE)
    findings.check(name, "indexes", len(values))
    for field, counter in values.items():
        if collection.facet(field, limit=max(1, 2 * len(counter))) != dict(counter):
            problem = f"the index of {field} disagrees with the rows, so that filters on it would miss some"
            findings.add(name, "indexes", field, problem, _RESTORE)


def _row_problems(rows: list[StoredPoint], space: Space) -> Iterator[tuple[StoredPoint, str]]:
    for row in rows:
        for problem in row_problems(row.id, row.vector, row.payload, space):
            yield row, problem


def _pages(points: Iterator[StoredPoint]) -> Iterator[list[StoredPoint]]:
    while page := list(islice(points, 64)):
        yield page
