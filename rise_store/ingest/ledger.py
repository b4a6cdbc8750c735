"""The ledger of runs, in the store's catalogue: what a run froze, its receipts, and how it closed.

A receipt belongs to a run and is keyed by the position of its first row, so that a block that is done twice has one.
"""

from __future__ import annotations

import socket
import uuid
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Literal

from rise_store.digests import json_sha256
from rise_store.records import Dataset, IngestTotals, Metadata, Receipt, Run, SourceManifest
from rise_store.store import Catalogue, Collection, Equals
from rise_store.version import __version__

KEPT_REJECTS = 100  # reasons that a receipt keeps in the catalogue


class RunLedger:
    """The open run of one ingestion."""

    def __init__(self, catalogue: Catalogue, run: Run, receipts: Iterable[Receipt] = ()) -> None:
        self._catalogue = catalogue
        self.run = run
        self.counts = IngestTotals()
        self._spans: list[tuple[int, int]] = []
        for receipt in sorted(receipts, key=lambda receipt: receipt.first):
            self._spans.append((receipt.first, receipt.last))
            self.counts = self.counts + receipt.counts
        self.resumed_rows = sum(last - first + 1 for first, last in self._spans)
        self._blocks = len(self._spans)

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
        """Resume the unfinished run of this very manifest, or begin a new one."""
        digest = _manifest_digest(dataset, space, sources, settings)
        for _, document in catalogue.scan("run", owner=dataset.name):
            run = Run.model_validate(document)
            same = _manifest_digest(run.dataset, run.space, run.sources, run.settings) == digest
            if same and run.state != "COMPLETE" and sources and all(source.sha256 for source in sources):
                run = run.model_copy(update={"state": "RUNNING", "attempts": run.attempts + 1, "message": ""})
                receipts = [Receipt.model_validate(found) for _, found in catalogue.scan("receipt", owner=run.id)]
                ledger = cls(catalogue, run, receipts)
                break
        else:
            run = Run(
                id=str(uuid.uuid4()),
                dataset=dataset,
                space=space,
                sources=sources,
                settings=settings,
                mode=mode,
                started_at=_now(),
                host=socket.gethostname(),
                created_with=__version__,
            )
            ledger = cls(catalogue, run)
        ledger._write()
        return ledger

    def is_done(self, position: int) -> bool:
        """Whether an earlier attempt wrote a receipt for the row at this position."""
        index = bisect_right(self._spans, (position, float("inf"))) - 1
        return index >= 0 and self._spans[index][1] >= position

    def record(self, receipt: Receipt) -> None:
        """Keep a receipt; call it once the store has acknowledged the block."""
        kept = receipt.model_copy(
            update={"rejects": tuple(r.model_copy(update={"row": None}) for r in receipt.rejects[:KEPT_REJECTS])}
        )
        key = f"{self.run.id}/{receipt.first:012d}"
        self._catalogue.put("receipt", {key: kept.model_dump(mode="json")}, owner=self.run.id)
        self.counts = self.counts + receipt.counts
        self._blocks += 1

    def close(self, collection: Collection, rows: int) -> Run:
        """Reconcile the receipts with what the store holds: COMPLETE when they agree, else FAILED."""
        receipts = list(self.receipts())
        counts = sum((receipt.counts for receipt in receipts), IngestTotals())
        found = collection.count(Equals("run_id", self.run.id))
        covered = sum(receipt.last - receipt.first + 1 for receipt in receipts)
        problems = []
        if found != counts.written:
            problems.append(f"the receipts speak of {counts.written:,} stored examples, and the store has {found:,}")
        if covered != rows:
            problems.append(f"the receipts cover {covered:,} rows of {rows:,}")
        self._update(
            state="FAILED" if problems else "COMPLETE",
            message="; ".join(problems),
            finished_at=_now(),
            rows=rows,
            blocks=len(receipts),
            counts=counts,
            found=found,
        )
        return self.run

    def stop(self, message: str) -> None:
        """Note that the run was stopped before its end; the same command resumes it."""
        self._update(state="STOPPED", message=message, finished_at=_now())

    def fail(self, message: str) -> None:
        """Note why the run failed; the same command resumes it."""
        self._update(state="FAILED", message=message, finished_at=_now())

    def receipts(self) -> Iterator[Receipt]:
        """The receipts of the run, in the order of their rows."""
        found = [Receipt.model_validate(document) for _, document in self._catalogue.scan("receipt", owner=self.run.id)]
        return iter(sorted(found, key=lambda receipt: receipt.first))

    def _update(self, **fields: object) -> None:
        self.run = self.run.model_copy(update=fields)
        self._write()

    def _write(self) -> None:
        self._catalogue.put("run", {self.run.id: self.run.model_dump(mode="json")}, owner=self.run.dataset.name)


def _manifest_digest(dataset: Dataset, space: str, sources: tuple[SourceManifest, ...], settings: Metadata) -> str:
    return json_sha256([dataset.model_dump(mode="json"), space, [s.model_dump(mode="json") for s in sources], settings])


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
