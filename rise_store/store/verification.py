"""Checking a store: its files, then every row of it, over the contract that every engine keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from rise_store.errors import StoreError, StoreInUseError
from rise_store.records import Space, VerifyReport
from rise_store.store.backend import Backend, Collection, StoredPoint
from rise_store.store.embedded.inspection import inspect_folder
from rise_store.store.findings import Findings
from rise_store.store.payload import describe_example, point_id

# What is done, how much of it is done, and how much there is.
VerifyProgress = Callable[[str, int, int], None]

REQUIRED_FIELDS = (
    "example_id",
    "dataset",
    "content_sha256",
    "run_id",
    "ingested_at",
    "tokens",
    "chunks",
    "channel_norms",
)

# How far the length of a stored signature, and of each of its channels, may be from what it was before it was rounded.
# Measured with 24 coordinates: 0.0003, 0.0025, 0.08; with 4,096: 0.0001, 0.0003, 0.012 (qdrant-edge-py 0.9.0).
_TOLERANCES = {"float16": 2e-3, "turbo8": 1e-2, "turbo4": 1e-1}
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
    tolerance = _TOLERANCES[space.storage.vectors]
    split = space.estimator.dim_rh
    for row in rows:
        problems = list(_payload_problems(row, space.fingerprint))
        vector = row.vector
        if vector is None or vector.shape != (space.dim,):
            problems.append(
                "has no signature" if vector is None else f"has a signature of {vector.shape[0]} coordinates"
            )
        elif not np.isfinite(vector).all():
            problems.append("has a signature with NaN or Inf")
        else:
            found = np.array([np.linalg.norm(vector), np.linalg.norm(vector[:split]), np.linalg.norm(vector[split:])])
            if abs(found[0] - 1) > tolerance:
                problems.append(f"has a signature of length {found[0]:.4f} instead of 1")
            norms = row.payload.get("channel_norms")
            if not problems and isinstance(norms, dict) and {"rh", "gh"} <= norms.keys():
                stated = [norms["rh"], norms["gh"]]
                if not all(isinstance(norm, int | float) for norm in stated):
                    problems.append(f"has the channel_norms {norms} in its payload, which is not numbers rh and gh")
                elif np.abs(stated - found[1:]).max() > tolerance:
                    problems.append(
                        f"has channel norms {stated[0]:.4f} and {stated[1]:.4f} in its payload, but its signature has "
                        f"{found[1]:.4f} and {found[2]:.4f}"
                    )
        for problem in problems:
            yield row, problem


def _payload_problems(row: StoredPoint, fingerprint: str) -> Iterator[str]:
    missing = [field for field in REQUIRED_FIELDS if field not in row.payload]
    if missing:
        yield f"has no {', '.join(missing)} in its payload"
    if {"dataset", "example_id"} <= row.payload.keys():
        expected = point_id(fingerprint, row.payload["dataset"], row.payload["example_id"])
        if row.id != expected:
            yield f"is stored as point {row.id} instead of {expected}, so that ingesting it again would store it twice"


def _pages(points: Iterator[StoredPoint]) -> Iterator[list[StoredPoint]]:
    while page := list(islice(points, 64)):
        yield page
