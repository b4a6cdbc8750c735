"""What a run's receipts promise against what the store holds."""

from __future__ import annotations

from collections.abc import Sequence

from rise_store.ingest.runs.outcomes import packed_length, spans, total
from rise_store.ingest.runs.run_records import read_receipts, read_runs
from rise_store.records import Receipt, Run, RunCheck
from rise_store.store import Catalogue, Collection, Equals, Tombstones


def covered_rows(receipts: Sequence[Receipt]) -> int:
    """Rows that receipts stand for, each counted once."""
    return sum(last - first + 1 for first, last in spans(receipts))


def named_by(run: Run, collection: Collection) -> int:
    """Exact number of stored examples that name a run."""
    return collection.count(Equals("run_id", run.id))


def missing_examples(run: Run, written: int, found: int, catalogue: Catalogue) -> tuple[str, bool]:
    """Why a run has not as many examples as its receipts speak of, as far as the store knows, and what to do.

    Also whether a later run or an erasure may account for it.
    """
    others = [other for other in read_runs(catalogue, dataset=run.dataset.name) if _wrote_since(other, run)]
    if found > written:
        return (
            f"{found:,} stored examples name the run, and its receipts speak of {written:,}: another process stored "
            "some and was killed before it could write its receipts. Nothing is lost: run the same command again"
        ), False
    since = run.started_at[:19]
    erased = [one for one in Tombstones(catalogue).sets() if one.examples and one.erased_at[:19] >= since]
    reasons = []
    if erased:
        examples = sum(one.examples for one in erased)
        reasons.append(f"{examples:,} were erased since in all of the store, the last by erasure {erased[-1].id}")
    if others:
        also = f" and {len(others) - 1} more" if len(others) > 1 else ""
        reasons.append(f"run {others[0].id}{also} has written to dataset {run.dataset.name!r} since")
    reason = ", and ".join(reasons) or "they were deleted since"
    advice = (
        "What a later run replaced is as it should be; deleted examples come back with that run's command"
        if others
        else "If that was meant, all is well; if not, run the same command again: it stores what is missing, and no "
        "more"
    )
    said = f"{written - found:,} of the {written:,} examples that the run stored do not name it any more: {reason}"
    return f"{said}. {advice}", bool(reasons)


def check_run(run: Run, catalogue: Catalogue, collection: Collection) -> RunCheck:
    """Read the receipts of a run again, and count its examples."""
    receipts = read_receipts(catalogue, run.id)
    counts, rows, found = total(receipts), covered_rows(receipts), named_by(run, collection)
    problems = [
        f"the receipt of rows {receipt.first} to {receipt.last} speaks of {packed_length(receipt.outcomes)} rows"
        for receipt in receipts
        if packed_length(receipt.outcomes) != receipt.last - receipt.first + 1
    ]
    notes: list[str] = []
    if run.rows is not None and run.rows != rows:
        problems.append(f"the receipts cover {rows:,} rows of {run.rows:,}")
    if run.counts is not None and run.counts.written != counts.written:
        problems.append(
            f"the receipts speak of {counts.written:,} stored examples, and the run closed with {run.counts.written:,}"
        )
    if found != counts.written:
        reason, accounted_for = missing_examples(run, counts.written, found, catalogue)
        (notes if accounted_for else problems).append(reason)
    return RunCheck(
        run_id=run.id,
        agrees=not problems,
        receipts=len(receipts),
        rows=rows,
        written=counts.written,
        found=found,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _wrote_since(other: Run, run: Run) -> bool:
    is_later = other.finished_at is None or other.finished_at >= run.started_at
    return other.id != run.id and other.space == run.space and is_later
