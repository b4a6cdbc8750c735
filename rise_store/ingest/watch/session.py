"""What surrounds a watch: its run in the ledger, its positions, and who is told how it is doing."""

from __future__ import annotations

import glob
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from rise_store.corpus import SourceOptions
from rise_store.corpus.chat import ChatRenderer
from rise_store.corpus.locations import public_name
from rise_store.digests import json_sha256
from rise_store.errors import InputError, StoreError
from rise_store.ingest.block import RunContext
from rise_store.ingest.dead_letters import DeadLetters
from rise_store.ingest.interrupt import interruptible
from rise_store.ingest.runs.ledger import RunLedger
from rise_store.ingest.runs.report import make_report
from rise_store.ingest.texts import Encoder
from rise_store.ingest.watch.arrivals import Arrivals
from rise_store.ingest.watch.followed import Followed
from rise_store.ingest.watch.formats import Formats
from rise_store.ingest.watch.growing import FollowedLines
from rise_store.ingest.watch.health import Health, StatusFile
from rise_store.ingest.watch.loop import Pace, Surroundings, Watch, patience
from rise_store.ingest.watch.metrics import Metrics
from rise_store.ingest.watch.positions import Position, Positions
from rise_store.ingest.watch.registry import Registry
from rise_store.ingest.watch.standard_input import FollowedInput
from rise_store.ingest.watch.storing import Storing
from rise_store.ingest.watch.targets import make_target
from rise_store.ingest.watch.whole import FollowedWhole
from rise_store.records import Dataset, IngestReport, Metadata, Receipt, Run, SourceManifest, WatchStatus
from rise_store.store import Catalogue, Collection

STDIN = "-"


@dataclass(frozen=True)
class WatchTellers:
    """Who is told how a watch is doing."""

    status: Path | None = None  # file that is written every second
    metrics: tuple[str, int] | None = None  # host and port to serve Prometheus metrics on
    trouble: Callable[[str], None] = lambda message: None  # one line for people
    block: Callable[[WatchStatus], None] = lambda status: None  # after each block


def watch_sources(
    sources: Sequence[str],
    dataset: Dataset,
    encoder: Encoder,
    collection: Collection,
    catalogue: Catalogue,
    *,
    location: str,
    settings: Metadata,
    reading: SourceOptions,
    render_chat: ChatRenderer | None,
    context: Callable[[str], RunContext],
    pace: Pace,
    tellers: WatchTellers,
    stop: threading.Event | None,
    max_rejects: int | None = None,
    rejects: str | Path | None = None,
) -> IngestReport:
    """Store what arrives in sources until `stop`.

    Args:
        sources: folders, globs, files and addresses; `-` is standard input.
        dataset: what the examples belong to.
        encoder: computes the signatures; of the collection's space.
        collection: where they go.
        catalogue: of the same store.
        location: of the store, for the status.
        settings: what shapes the examples, beside the dataset; frozen in the run.
        reading: how sources are read.
        render_chat: makes texts of chat rows.
        context: what the blocks share, by the id of the run.
        pace: how small blocks are, and how often is looked.
        tellers: who is told.
        stop: ends it after the block in flight.
        max_rejects: rejected rows beyond which it stops; None for no limit.
        rejects: file that takes the rows which were not stored; see `DeadLetters`.

    Raises:
        InputError: a source that cannot be watched, or too many rejected rows.
        StoreError: the store failed for another reason than being out of reach or full, or `stop` came meanwhile.
    """
    started = time.monotonic()
    formats = Formats(reading, render_chat)
    if STDIN in sources and reading.get("format") not in (None, "jsonl"):
        raise InputError(
            f"standard input is watched as JSON Lines, not as {reading.get('format')}; ingest it, or watch a file"
        )
    settings = {**settings, **formats.settings}
    own_files = [_pattern(path) for path in (rejects, tellers.status) if path is not None]
    targets = [make_target(source, formats, own_files) for source in sources if source != STDIN]
    names = tuple(source if source == STDIN else public_name(source) for source in sources)
    manifests = tuple(SourceManifest(uri=source, format=reading.get("format") or "any") for source in names)
    space = collection.space.fingerprint
    positions = Positions(catalogue, dataset.name, space)
    for target in targets if pace.once else ():
        if target.is_absent() and not positions.load(target.source):  # a log that was rotated away will be back
            raise InputError(
                f"{target.source}: no such file or folder; check the path, or leave out --once to wait for it"
            )
    ledger = RunLedger.begin(catalogue, dataset, space, manifests, settings, mode="watch")
    untidy = _close_abandoned(catalogue, ledger.run)
    run = context(ledger.run.id)
    dead_letters = None if rejects is None else DeadLetters(rejects, run.id)
    digest = json_sha256([dataset.model_dump(mode="json"), settings])
    arrivals = Arrivals()
    standard_input = FollowedInput(arrivals.event, formats) if STDIN in sources else None

    def follow(name: str, source: str, position: Position | None) -> Followed:
        if formats.grows(name):
            return FollowedLines(name, source, digest, position, formats)
        return FollowedWhole(name, source, digest, position, formats)

    health = Health(run_id=run.id, dataset=dataset.name, space=space, store=location, sources=names)
    with ExitStack() as stack:
        metrics = stack.enter_context(Metrics(health, *tellers.metrics)) if tellers.metrics else None
        if tellers.status is not None:
            stack.enter_context(StatusFile(tellers.status, health.status))

        def stored(receipt: Receipt) -> None:
            tellers.block(health.status())
            if max_rejects is not None and ledger.counts.rejected > max_rejects:
                reason = next(reject.reason for reject in reversed(receipt.rejects) if reject.kind == "rejected")
                raise InputError(
                    f"{reason} ({ledger.counts.rejected} rows rejected, {max_rejects} allowed); the good rows before "
                    "it are stored: mend the row and run the same command again, or let bad rows pass with "
                    "--max-rejects"
                )

        interrupt = stack.enter_context(interruptible())

        def is_stopped() -> bool:
            return interrupt.requested or (stop is not None and stop.is_set())

        persist = patience(is_stopped, health, tellers.trouble)
        storing = Storing(run, encoder, collection, ledger, positions, persist, dead_letters)
        watch = Watch(
            targets,
            Registry(targets, positions, follow),
            standard_input,
            arrivals,
            storing,
            lambda: persist(collection.tidy),
            pace,
            is_stopped,
            Surroundings(health, tellers.trouble, metrics, stored),
            batch_tokens=encoder.batch_tokens,
        )
        try:
            health.is_now("watching")
            watch.run()
            if untidy or storing.rows:
                persist(collection.tidy)
            closed = persist(lambda: ledger.close(collection, storing.rows))
        except BaseException as error:
            health.failed(" ".join(str(error).split()) or type(error).__name__)
            health.is_now("failed")
            if isinstance(error, Exception):
                with suppress(StoreError):
                    ledger.fail(str(error))
            raise
        health.is_now("finished" if closed.state == "COMPLETE" else "failed")
    return make_report(
        run,
        ledger,
        closed,
        space=space,
        stored=collection.count(),
        duplicates=0,
        seconds=time.monotonic() - started,
        encoded_tokens=ledger.counts.tokens,
        model_waited=0.0,
        dead_letters=dead_letters,
    )


def _pattern(path: str | Path) -> str:
    """Paths of a file that watches write themselves, of earlier runs too."""
    return glob.escape(os.path.abspath(path)).replace("{run}", "*")


def _close_abandoned(catalogue: Catalogue, run: Run) -> bool:
    """Close runs over the same sources that a process of this machine left open when it was killed; tells if any."""
    found = False
    uris = {source.uri for source in run.sources}
    for _, document in list(catalogue.scan("run", owner=run.dataset.name)):
        other = Run.model_validate(document)
        same = other.space == run.space and other.host == run.host and {s.uri for s in other.sources} == uris
        if other.mode == "watch" and other.state == "RUNNING" and other.id != run.id and same:
            RunLedger(catalogue, other).stop(f"its process ended without a word; run {run.id} goes on where it was")
            found = True
    return found
