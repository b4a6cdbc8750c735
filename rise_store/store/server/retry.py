"""Repeating calls that failed for a reason that may pass, and on nothing else.

Every call that the store makes may be repeated: upserts and deletes name their points, and catalogue documents have
fixed ids. So a call whose answer got lost is simply made again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_any,
    wait_exponential,
    wait_random,
)
from tenacity.stop import stop_base

from rise_store.store.server.failures import is_full, status_of

TRIES = 5
OPENING_TRIES = 3  # nothing is under way yet, and a wrong address should not take long to be told
FIRST_WAIT_S = 1.0  # doubled after each try: 1, 2, 4, 8 and up to a second of jitter each, so 19 seconds at most
LONGEST_WAIT_S = 10.0
MOST_S = 30.0  # of waiting in all; so a call ends within TRIES deadlines and this

_TRANSIENT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,  # nobody here cancels calls: a server that shuts down does
)

T = TypeVar("T")


def with_retries(action: Callable[[], T], tries: int | None = None) -> T:
    """The result of `action`, which is tried at most `tries` times (None: `TRIES`); raises what the last try raised."""
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_any(stop_after_attempt(TRIES if tries is None else tries), _TooLong()),
        wait=_wait,
        reraise=True,
    )
    return retrying(action)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    return status_of(error) in _TRANSIENT and not is_full(error)


def _wait(state: RetryCallState) -> float:
    backoff = wait_exponential(FIRST_WAIT_S, max=LONGEST_WAIT_S)(state) + wait_random(0, FIRST_WAIT_S)(state)
    error = state.outcome.exception() if state.outcome else None
    return max(backoff, float(error.retry_after_s)) if isinstance(error, ResourceExhaustedResponse) else backoff


class _TooLong(stop_base):
    def __call__(self, state: RetryCallState) -> bool:
        return state.idle_for + state.upcoming_sleep > MOST_S
