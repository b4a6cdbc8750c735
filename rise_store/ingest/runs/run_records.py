"""Runs and receipts as the catalogue keeps them.

A receipt belongs to its run, and its key says which rows it stands for and which attempt wrote it: a block that is
repeated within an attempt has one receipt. How far a run has come is a document of its own, so that two machines that
work on one run do not undo each other's word of how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from rise_store.errors import InputError
from rise_store.records import Receipt, Run, RunState
from rise_store.store import Catalogue

KEPT_REJECTS = 100  # reasons that a receipt keeps in the catalogue


def write_run(catalogue: Catalogue, run: Run) -> None:
    """Insert or replace a run."""
    catalogue.put("run", {run.id: run.model_dump(mode="json")}, owner=run.dataset.name)


def read_run(catalogue: Catalogue, id: str) -> Run | None:
    """The run of this id; None when there is none."""
    found = catalogue.get("run", [id])
    return None if id not in found else _with_progress([Run.model_validate(found[id])], catalogue)[0]


def find_run(catalogue: Catalogue, beginning: str) -> Run:
    """The run whose id begins like this.

    Raises:
        InputError: there is none, or there are several.
    """
    whole = read_run(catalogue, beginning)
    if whole is not None:
        return whole
    ids = sorted(key for key, _ in catalogue.scan("run") if beginning and key.startswith(beginning))
    if not ids:
        raise InputError(f"the store knows no run {beginning[:60]!r}; rise-store runs lists them")
    if len(ids) > 1:
        some = ", ".join(ids[:3])
        raise InputError(f"{len(ids)} runs begin with {beginning!r}, among them {some}: give more of the id")
    found = read_run(catalogue, ids[0])
    assert found is not None
    return found


def read_runs(
    catalogue: Catalogue, *, dataset: str | None = None, state: RunState | None = None, limit: int | None = None
) -> list[Run]:
    """Runs, those that began last first."""
    runs = [Run.model_validate(document) for _, document in catalogue.scan("run", owner=dataset)]
    chosen = [run for run in runs if state is None or run.state == state]
    chosen.sort(key=lambda run: (run.started_at, run.id), reverse=True)
    return _with_progress(chosen[:limit], catalogue)


def write_receipt(catalogue: Catalogue, run: Run, receipt: Receipt) -> None:
    """Keep a receipt, without the rows of its rejects."""
    rejects = tuple(reject.model_copy(update={"row": None}) for reject in receipt.rejects[:KEPT_REJECTS])
    kept = receipt.model_copy(update={"run_id": run.id, "rejects": rejects})
    key = f"{run.id}/{receipt.first:012d}-{receipt.last:012d}/{run.attempts}"
    catalogue.put("receipt", {key: kept.model_dump(mode="json", exclude_defaults=True)}, owner=run.id)


def read_receipts(catalogue: Catalogue, run_id: str) -> list[Receipt]:
    """The receipts of a run, in the order of their rows."""
    found = [Receipt.model_validate(document) for _, document in catalogue.scan("receipt", owner=run_id)]
    return sorted(found, key=lambda receipt: (receipt.first, receipt.last, receipt.stored_at))


def write_progress(catalogue: Catalogue, run: Run, covered: int) -> None:
    """Note how many rows of a run have receipts, and when."""
    catalogue.put("progress", {run.id: {"at": now(), "covered": covered}}, owner=run.dataset.name)


def now() -> str:
    """The time, RFC 3339, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _with_progress(runs: list[Run], catalogue: Catalogue) -> list[Run]:
    open_ = [run.id for run in runs if run.found is None]
    progress = catalogue.get("progress", open_) if open_ else {}
    return [run.model_copy(update=_fields(progress[run.id])) if run.id in progress else run for run in runs]


def _fields(progress: Mapping[str, object]) -> dict[str, object]:
    return {"last_receipt_at": progress["at"], "covered": progress["covered"]}
