"""What became of a run, as a record."""

from __future__ import annotations

from rise_store.ingest.block import RunContext
from rise_store.ingest.dead_letters import DeadLetters
from rise_store.ingest.runs.ledger import RunLedger
from rise_store.records import IngestReport, Run


def make_report(
    run: RunContext,
    ledger: RunLedger,
    closed: Run,
    *,
    space: str,
    stored: int,
    duplicates: int,
    seconds: float,
    encoded_tokens: int,
    model_waited: float,
    dead_letters: DeadLetters | None,
) -> IngestReport:
    """The report of a run that is closed; `encoded_tokens` are those of this attempt."""
    totals = ledger.counts
    return IngestReport(
        run_id=run.id,
        state=closed.state,
        dataset=run.dataset.name,
        space=space,
        new=totals.new,
        replaced=totals.replaced,
        shared=totals.shared,
        updated=totals.updated,
        unchanged=totals.unchanged,
        recovered=totals.recovered,
        refused=totals.refused,
        vanished=closed.vanished,
        resumed_rows=ledger.resumed_rows,
        duplicates=duplicates,
        rejected=totals.rejected + totals.too_short + totals.refused,
        too_short=totals.too_short,
        tokens=totals.tokens,
        seconds=round(seconds, 3),
        tokens_per_second=round(encoded_tokens / max(seconds, 1e-9), 1),
        model_waited=round(model_waited, 4),
        stored=stored,
        rejects=ledger.reasons,
        unknown_licenses=ledger.unknown_licenses,
        message=closed.message,
        rejects_file=str(dead_letters.path) if dead_letters is not None and dead_letters.written else None,
    )
