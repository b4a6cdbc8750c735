"""Waiting for a store that went away for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import isinf
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    stop_any,
    wait_exponential,
    wait_random,
)
from tenacity.stop import stop_base

from rise_store.errors import StoreError, StoreUnreachableError

PATIENCE_S = 300.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0
_POLL_S = 0.1

T = TypeVar("T")
Notify = Callable[[str], None]


class Patience:
    """Repeats calls of a store that cannot be reached, with growing pauses, for so many seconds an outage.

    Only for calls that may be repeated. Safe for threads: an outage that several of them meet is told once.
    """

    def __init__(
        self,
        seconds: float = PATIENCE_S,
        *,
        notify: Notify | None = None,
        stop: Callable[[], bool] | None = None,
        outages: tuple[type[StoreError], ...] = (StoreUnreachableError,),
    ) -> None:
        """Wait at most `seconds`, tell `notify` when an outage begins and ends, give up as soon as `stop` is true.

        Errors that are `outages` are waited for.
        """
        self._outages = outages
        self.seconds = seconds
        self._notify = notify
        self._stop = stop or (lambda: False)
        self._lock = threading.Lock()
        self._out = False

    def __call__(self, action: Callable[[], T]) -> T:
        """The result of `action`.

        Raises:
            StoreError: one of the outages: the store stayed away for too long, or it is time to stop.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(self._outages),
            stop=stop_any(stop_after_delay(self.seconds), _StopWhen(self._stop)),
            wait=wait_exponential(FIRST_WAIT_S, max=LONGEST_WAIT_S) + wait_random(0, FIRST_WAIT_S),
            sleep=self._sleep,
            before_sleep=self._begin,
            reraise=True,
        )
        result = retrying(action)
        self._end()
        return result

    def _sleep(self, seconds: float) -> None:
        # In pieces, and not on an event: a signal handler may not set an event that its own thread waits for.
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stop():
            time.sleep(min(left, _POLL_S))

    def _begin(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        most = "" if isinf(self.seconds) else f" for up to {self.seconds:,.0f} s"
        self._tell(True, f"{str(error).split('. ')[0]}; trying again{most}")

    def _end(self) -> None:
        self._tell(False, "the store answers again")

    def _tell(self, out: bool, message: str) -> None:
        with self._lock:
            if out == self._out:
                return
            self._out = out
        if self._notify is not None:
            self._notify(message)


class _StopWhen(stop_base):
    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over

    def __call__(self, state: RetryCallState) -> bool:
        return self._is_over()
