"""A new version of a dataset: what it no longer has is marked as vanished, once all of it is stored."""

from __future__ import annotations

from rise_store.records import Run
from rise_store.store import And, Collection, Equals, Exists, Filter, Not


def vanishing(run: Run, collection: Collection) -> int:
    """Stored examples of the dataset that the run's version of it lacks, and that are not marked yet."""
    where = _where(run)
    return 0 if where is None else collection.count(where)


def mark_vanished(run: Run, collection: Collection) -> None:
    """Mark them with the version that no longer has them; repeating it is safe."""
    where = _where(run)
    if where is not None:
        collection.mark(where, "vanished_in", str(run.dataset.version))


def why_not_marked(run: Run, rows: int, rejected: int, left: int) -> str:
    """Why the run may not say what its version of the dataset lacks; empty when it may."""
    if not rows:
        reason, remedy = "the sources have no rows", "look whether they are the right ones"
    elif rejected:
        reason, remedy = f"{rejected:,} rows were rejected", "mend or remove them and ingest the version again"
    else:
        return ""
    return (
        f"{left:,} stored examples are not in version {run.dataset.version} of {run.dataset.name}, and were not marked "
        f"as vanished since {reason}: {remedy}"
    )


def _where(run: Run) -> Filter | None:
    if run.dataset.version is None or run.mode == "watch" or run.settings.get("partial"):
        return None
    return And(
        (
            Equals("dataset", run.dataset.name),
            Not(Equals("dataset_version", run.dataset.version)),
            Not(Exists("vanished_in")),
        )
    )
