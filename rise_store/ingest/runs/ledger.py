"""The ledger of one run: what it froze when it began, its receipts, and how it closed."""

from __future__ import annotations

import socket
import time
import uuid
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from rise_store.digests import json_sha256
from rise_store.ingest.runs.outcomes import spans, total
from rise_store.ingest.runs.reconcile import covered_rows, missing_examples, named_by
from rise_store.ingest.runs.row_licenses import most_common
from rise_store.ingest.runs.run_records import now, read_receipts, read_run, write_progress, write_receipt, write_run
from rise_store.ingest.runs.stored_rows import file_name
from rise_store.ingest.runs.versions import mark_vanished, vanishing, why_not_marked
from rise_store.records import Dataset, Metadata, Receipt, Run, SourceManifest
from rise_store.store import Catalogue, Collection
from rise_store.version import __version__

MAX_REASONS = 100  # reasons for rejects that a ledger keeps
PROGRESS_SECONDS = 5.0  # between two words of how far a run has come

_NAMESPACE = uuid.UUID("c0a7b7e2-52ad-4f0b-9f9d-3f2e6a41d8b5")  # of the ids of runs


class RunLedger:
    """The open run of one ingestion.

    Rows are known by their positions. Several processes may work on one run, one after the other or at once, and cut
    it into other blocks: receipts for the same rows add up to the rows.
    """

    def __init__(self, catalogue: Catalogue, run: Run, receipts: Iterable[Receipt] = ()) -> None:
        self._catalogue = catalogue
        self.run = run
        # Blocks with rejected rows are read again, which costs no forward pass: why rows are rejected is said again,
        # and a limit on rejects stops the run at the same row. So are blocks with unchanged rows: those do not name the
        # run, so that closing would not miss one that was changed or deleted since.
        kept = [receipt for receipt in receipts if not receipt.counts.rejected and not receipt.counts.unchanged]
        self.counts = total(kept)
        self._spans = spans(kept)
        self._firsts = [first for first, _ in self._spans]
        self.resumed_rows = sum(last - first + 1 for first, last in self._spans)
        self.reasons = _reasons(kept)  # why rows were not stored, the first hundred
        self.unknown_licenses: dict[str, int] = _licenses(kept)
        self._covered = self.resumed_rows
        self._told = float("-inf")

    @classmethod
    def begin(
        cls,
        catalogue: Catalogue,
        dataset: Dataset,
        space: str,
        sources: tuple[SourceManifest, ...],
        settings: Metadata,
        mode: Literal["ingest", "watch"] = "ingest",
    ) -> RunLedger:
        """Resume the unfinished run of this very manifest, or begin a new one.

        Only a run whose sources all have a hash can be resumed: the others cannot be read twice. The id of a run that
        can be follows from its manifest, so that two machines which begin at the same time work on the same run, and
        finding it takes no search.
        """
        run = Run(
            id=str(uuid.uuid4()),
            dataset=dataset,
            space=space,
            sources=sources,
            settings=settings,
            mode=mode,
            started_at=now(),
            host=socket.gethostname(),
            created_with=__version__,
        )
        receipts: list[Receipt] = []
        if sources and all(source.sha256 for source in sources):
            digest = _manifest_digest(run)
            known = catalogue.get("manifest", [digest]).get(digest, {"runs": 1})
            number = int(known["runs"])
            while True:
                id = str(uuid.uuid5(_NAMESPACE, f"{digest}/{number}"))
                before = read_run(catalogue, id)
                if before is None:
                    run = run.model_copy(update={"id": id})
                    catalogue.put("manifest", {digest: {"runs": number}})
                    break
                if before.found is None:  # it never closed
                    fields = {"state": "RUNNING", "attempts": before.attempts + 1, "message": "", "finished_at": None}
                    run = before.model_copy(update=fields)
                    receipts = read_receipts(catalogue, id)
                    break
                number += 1
        ledger = cls(catalogue, run, receipts)
        write_run(catalogue, run)
        catalogue.put("last_run", {dataset.name: {"run": run.id}})
        return ledger

    def is_done(self, position: int) -> bool:
        """Whether an earlier attempt wrote a receipt for the row at this position."""
        index = bisect_right(self._firsts, position) - 1
        return index >= 0 and self._spans[index][1] >= position

    def record(self, receipt: Receipt) -> None:
        """Keep a receipt; call it once the store has acknowledged the block."""
        covered = self._covered + receipt.last - receipt.first + 1
        write_receipt(self._catalogue, self.run, receipt)
        if time.monotonic() >= self._told + PROGRESS_SECONDS:
            write_progress(self._catalogue, self.run, covered)
            self._told = time.monotonic()
        # Counted once all is written: when the store is away, it is the whole of this that is repeated.
        self._covered = covered
        self.counts = self.counts + receipt.counts
        self.reasons = (self.reasons + _reasons([receipt]))[:MAX_REASONS]
        if receipt.unknown_licenses:
            self.unknown_licenses = most_common(Counter(self.unknown_licenses) + Counter(receipt.unknown_licenses))

    def close(self, collection: Collection, rows: int) -> Run:
        """Reconcile the receipts with what the store holds: COMPLETE when they agree, else FAILED.

        A complete run of a new version of the dataset marks the examples that the version lacks. `counts` and
        `reasons` are then those of the run as a whole.

        Args:
            collection: where the examples went.
            rows: how many the sources have, rejected ones included.
        """
        receipts = read_receipts(self._catalogue, self.run.id)
        counts, covered, found = total(receipts), covered_rows(receipts), named_by(self.run, collection)
        self.counts, self.reasons, self.unknown_licenses = counts, _reasons(receipts), _licenses(receipts)
        problems = []
        if covered != rows:
            problems.append(
                f"the receipts cover {covered:,} rows of {rows:,}: run the same command again, which stores the others"
            )
        if found != counts.written:
            problems.append(missing_examples(self.run, counts.written, found, self._catalogue)[0])
        left_undone = "" if problems else self._mark_vanished(collection, rows)
        self._write(
            state="FAILED" if problems else "COMPLETE",
            message="; ".join(problems) or left_undone,
            finished_at=now(),
            rows=rows,
            blocks=len(receipts),
            counts=counts,
            found=found,
            covered=covered,
            last_receipt_at=max((receipt.stored_at for receipt in receipts), default=None),
        )
        return self.run

    def stop(self, message: str) -> None:
        """Note that the run was stopped before its end; the same command resumes it."""
        self._end("STOPPED", message)

    def fail(self, message: str) -> None:
        """Note why the run failed; the same command resumes it."""
        self._end("FAILED", message)

    def receipts(self) -> Iterator[Receipt]:
        """The receipts of the run, in the order of their rows."""
        return iter(read_receipts(self._catalogue, self.run.id))

    def _mark_vanished(self, collection: Collection, rows: int) -> str:
        """Mark what this version of the dataset lacks; returns why that was left undone, where it was."""
        left = vanishing(self.run, collection)
        if not left:
            return ""
        reason = why_not_marked(self.run, rows, self.counts.rejected, left)
        if not reason:
            # A kill from here on leaves the run open: the next attempt marks the rest, and knows how many they were.
            self._write(vanished=max(left, self.run.vanished))
            mark_vanished(self.run, collection)
        return reason

    def _end(self, state: str, message: str) -> None:
        now_there = read_run(self._catalogue, self.run.id)
        if now_there is not None and now_there.found is not None:
            self.run = now_there  # another process has closed it meanwhile
            return
        write_progress(self._catalogue, self.run, self._covered)
        self._write(state=state, message=" ".join(message.split()), finished_at=now())

    def _write(self, **fields: object) -> None:
        self.run = self.run.model_copy(update=fields)
        write_run(self._catalogue, self.run)


def _manifest_digest(run: Run) -> str:
    """What makes two runs the same: the rows that they read and what they become of them, wherever the files lie."""
    dataset = run.dataset
    sources = [[file_name(source.uri), source.format, source.sha256] for source in run.sources]
    shaping = [dataset.name, dataset.version, dataset.source_uri, dataset.license]
    return json_sha256([shaping, run.space, sources, run.settings, run.mode, run.created_with])


def _reasons(receipts: Iterable[Receipt]) -> tuple[str, ...]:
    reasons = dict.fromkeys(reject.reason for receipt in receipts for reject in receipt.rejects)
    return tuple(reasons)[:MAX_REASONS]


def _licenses(receipts: Iterable[Receipt]) -> dict[str, int]:
    """Rows by unknown licence; of receipts for rows that were done twice, those that reach no further are left out.

    Attempts that cut the rows into blocks which overlap may count some rows twice all the same.
    """
    licenses: Counter[str] = Counter()
    reached = 0
    for receipt in sorted(receipts, key=lambda receipt: (receipt.first, -receipt.last)):
        if receipt.last > reached:
            licenses.update(receipt.unknown_licenses)
            reached = receipt.last
    return most_common(licenses)
