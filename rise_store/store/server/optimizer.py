"""The server's optimizer: waiting for it, and asking it to rewrite what holds deleted points."""

from __future__ import annotations

import time

from qdrant_client import models

from rise_store.errors import StoreError
from rise_store.store.server.calls import Calls
from rise_store.store.server.schema import DELETED_THRESHOLD, VACUUM_MIN_VECTORS

COMPACT_S = 3_600.0
_POLL_S = 0.5
_EAGER_THRESHOLD = 1e-6  # of deleted points in a segment; 0 would have every segment rewritten
_LEAST_VECTORS = 100  # the server takes no smaller number


def wait_until_green(calls: Calls, until: float, *, nothing_pending: bool = False) -> bool:
    """Wait until the server works no more on the collection, or `time.monotonic()` is `until`; whether it is done.

    A server may leave work for the next write (its status is then grey), which counts as done unless
    `nothing_pending` is asked for. `StoreError` when the optimizer failed.
    """
    done = {models.CollectionStatus.GREEN} | (set() if nothing_pending else {models.CollectionStatus.GREY})
    while True:
        info = calls.info()
        if isinstance(info.optimizer_status, models.OptimizersStatusOneOf1):
            reason = " ".join(info.optimizer_status.error.split())[:400]
            raise StoreError(
                f"the optimizer of the server at {calls.connection.location} failed on collection {calls.name}: "
                f"{reason}. Rows are kept and can be read; the log of the server says more"
            )
        if info.status in done:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(_POLL_S)


def compact(calls: Calls) -> None:
    """Have the server rewrite segments that hold deleted points: lower its threshold, wait, and put it back.

    What cannot be promised, unlike in a folder: a segment of fewer than 100 points is left alone, so the bytes of a
    few deleted points may stay until it grows or is merged; the write-ahead log keeps operations until it is
    truncated; snapshots and replicas that are away keep theirs; and whether a file system overwrites freed blocks is
    not known. `StoreError` when the server is not done within an hour; it goes on by itself.
    """
    until = time.monotonic() + COMPACT_S
    # Settings are changed only when nothing is at work, and a call that waits for that would meet its deadline.
    if not wait_until_green(calls, until):
        raise _not_done(calls)
    found = calls.info().config.optimizer_config
    # Two that compact at once must not take each other's threshold for the one to put back.
    eager = (found.deleted_threshold or 0.0) <= _EAGER_THRESHOLD
    before = models.OptimizersConfigDiff(
        deleted_threshold=DELETED_THRESHOLD if eager else found.deleted_threshold,
        vacuum_min_vector_number=VACUUM_MIN_VECTORS if eager else found.vacuum_min_vector_number,
    )
    during = models.OptimizersConfigDiff(deleted_threshold=_EAGER_THRESHOLD, vacuum_min_vector_number=_LEAST_VECTORS)
    calls.update(during)
    try:
        done = wait_until_green(calls, until, nothing_pending=True)
    finally:
        calls.update(before)
    if not done:
        raise _not_done(calls)


def _not_done(calls: Calls) -> StoreError:
    return StoreError(
        f"the server at {calls.connection.location} is still at work on collection {calls.name} after an hour. It goes "
        "on by itself; watch its status, and compact again if deleted rows must be gone"
    )
