"""The best candidates of a stream, as many as a selection can need and no more.

A selection goes down the ranking and takes each row that is within the limits. What it can need of a stream is

- **limits of rows, shares of one field at most**: the selection itself. The sets of rows within such limits are the
  independent ones of a matroid, so the selection of everything is the selection of what was chosen so far and what is
  new. Exact; k rows are held.
- **limits of rows, shares of several fields**: of the rows which are in the same sets, the best so many as may be
  chosen of them, since one that is not taken is followed by none that is; and under each limit, `WINDOW` times as many
  as it lets through, k being one of them. Exact where no more than `WINDOW` combinations of values occur; otherwise
  unless other limits pass over more than the rest of what is held under one.
- **tokens too**: rows that do not fit are passed over, and a smaller one below may still. Of the rows which are in the
  same sets, and under each limit, the best are held until they are `WINDOW` times as many, or have `WINDOW` times the
  tokens, that it lets through. Exact unless more than the rest of that is passed over.

So at most `WINDOW` times k rows are held, or rows of `WINDOW` times the token budget, however many values there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rise_store.retrieval.select.limits import Key, Limits, Tally
from rise_store.retrieval.value import Candidate, ValuedBlock

WINDOW = 4
SLACK = 256  # rows at least that come in before the pool is pruned again


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A candidate that may be chosen."""

    value: float
    candidate: Candidate
    tokens: int
    keys: tuple[Key, ...]  # the sets of the limits that it is in
    signature: npt.NDArray[np.float16] | None = None  # (dim,)

    @property
    def order(self) -> tuple[float, int]:
        """Sorts the best first: by value, and of equals the earlier one."""
        return -self.value, self.candidate.number


class Pool:
    """Takes candidates block by block and holds those that a selection within limits can need."""

    def __init__(self, limits: Limits, *, keep_signatures: bool = False, window: int = WINDOW) -> None:
        """`window`: how many times what a limit lets through is held, where limits cannot be kept to as rows come."""
        self.most_held = 0
        self._limits = limits
        self._window = window
        self._keep_signatures = keep_signatures
        self._rows: list[PoolRow] = []
        self._prune_at = SLACK
        self._least = -np.inf  # no later row of this value or less is needed

    def add(self, block: ValuedBlock) -> None:
        """Take the candidates of a block that may be needed."""
        for i in np.nonzero(block.values > self._least)[0]:
            signature = block.signatures[i].astype(np.float16) if self._keep_signatures else None
            self._add(block.candidates[i], float(block.values[i]), signature)

    def add_valued(self, candidate: Candidate, value: float) -> None:
        """Take one candidate whose value is known."""
        self._add(candidate, value, None)

    def rows(self) -> list[PoolRow]:
        """The rows that are needed of those seen so far, best first."""
        self._prune()
        return self._rows

    def _add(self, candidate: Candidate, value: float, signature: npt.NDArray[np.float16] | None) -> None:
        keys = self._limits.keys(candidate.fields)
        tokens = int(candidate.fields.get("tokens") or 0)
        if not Tally(self._limits).take(keys, tokens):
            return  # not even alone
        self._rows.append(PoolRow(value, candidate, tokens, keys, signature))
        self.most_held = max(self.most_held, len(self._rows))
        if len(self._rows) >= self._prune_at:
            self._prune()
            self._prune_at = len(self._rows) + max(SLACK, len(self._rows) // 4)

    def _prune(self) -> None:
        ranked = sorted(self._rows, key=lambda row: row.order)
        limits = self._limits
        if limits.counts_tokens or len(limits.fields) > 1:
            self._rows = _windows(ranked, limits, self._window)
            return
        self._rows = greedy(ranked, limits)
        if not limits.shares and len(self._rows) == limits.k:
            self._least = self._rows[-1].value


def greedy(ranked: Iterable[PoolRow], limits: Limits) -> list[PoolRow]:
    """Go down a ranking and take each row that is within the limits."""
    tally = Tally(limits)
    chosen = []
    for row in ranked:
        if tally.full:
            break
        if tally.take(row.keys, row.tokens):
            chosen.append(row)
    return chosen


def _windows(ranked: list[PoolRow], limits: Limits, window: int) -> list[PoolRow]:
    """The best rows that a selection can need, of those which are in the same sets and under each limit."""
    factor = window if limits.counts_tokens else 1
    alike = _Held()  # rows that are in the same sets
    under = _Held()  # rows under a limit: None for all rows, else a set
    kept = []
    for row in ranked:
        if alike.reach(row.keys, *limits.most(row.keys), factor):
            continue
        shares = [(key, limits.shares[key[0]]) for key in row.keys]
        if under.reach(None, limits.k, limits.tokens, window) or any(
            under.reach(key, share.rows, share.tokens, window) for key, share in shares
        ):
            continue
        alike.add(row.keys, row.tokens)
        for key in (None, *row.keys):
            under.add(key, row.tokens)
        kept.append(row)
    return kept


class _Held:
    """Rows and tokens that are held so far, by what they count under."""

    def __init__(self) -> None:
        self._of: dict[object, tuple[int, int]] = {}

    def add(self, key: object, tokens: int) -> None:
        rows, used = self._of.get(key, (0, 0))
        self._of[key] = (rows + 1, used + tokens)

    def reach(self, key: object, most_rows: int | None, most_tokens: int | None, factor: int) -> bool:
        """Whether so many times the most are held."""
        rows, tokens = self._of.get(key, (0, 0))
        return (most_rows is not None and rows >= factor * most_rows) or (
            most_tokens is not None and tokens >= factor * most_tokens
        )
