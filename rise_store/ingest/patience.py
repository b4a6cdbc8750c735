"""Waiting for a store that went away for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import isinf
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, stop_when_event_set, wait_exponential_jitter
from tenacity.nap import sleep_using_event

from rise_store.errors import StoreError, StoreUnreachableError

PATIENCE_S = 300.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0

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
        stop: threading.Event | None = None,
        errors: tuple[type[StoreError], ...] = (StoreUnreachableError,),
    ) -> None:
        """Wait at most `seconds`, tell `notify` when an outage begins and ends, give up as soon as `stop` is set.

        What counts as an outage are the `errors`.
        """
        self._errors = errors
        self._seconds = seconds
        self._notify = notify
        self._stop = stop or threading.Event()
        self._lock = threading.Lock()
        self._out = False

    def __call__(self, action: Callable[[], T]) -> T:
        """The result of `action`.

        Raises:
            StoreUnreachableError: the store stayed away for too long, or `stop` was set meanwhile.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(self._errors),
            stop=stop_after_delay(self._seconds) | stop_when_event_set(self._stop),
            wait=wait_exponential_jitter(FIRST_WAIT_S, LONGEST_WAIT_S),
            sleep=sleep_using_event(self._stop),
            before_sleep=lambda state: self._tell(True, str(state.outcome.exception()) if state.outcome else ""),
            reraise=True,
        )
        result = retrying(action)
        self._tell(False)
        return result

    def _tell(self, out: bool, reason: str = "") -> None:
        with self._lock:
            if out == self._out:
                return
            self._out = out
        if self._notify is not None:
            most = "" if isinf(self._seconds) else f" for up to {self._seconds:,.0f} s"
            self._notify(f"{reason.split('. ')[0]}; trying again{most}" if out else "the store answers again")
