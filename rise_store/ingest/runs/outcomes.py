"""What became of each row of a block, so that receipts of rows that were done twice can be added up.

Two attempts of a run, one after a kill or both at once, may cut the same rows into other blocks. A receipt therefore
says what became of every row, run-length coded: `120n3=1x` is 120 new rows, 3 unchanged ones and a rejected one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal

from rise_store.records import IngestTotals, Receipt

Outcome = Literal["new", "replaced", "updated", "recovered", "unchanged", "refused", "too_short", "rejected"]
# Of two receipts for a row, the outcome that stands first counts: what one attempt wrote, the other finds.
_LETTERS: dict[Outcome, str] = {
    "new": "n",
    "replaced": "r",
    "updated": "u",
    "recovered": "c",
    "unchanged": "=",
    "refused": "f",
    "too_short": "s",
    "rejected": "x",
}
_OUTCOMES = {letter: outcome for outcome, letter in _LETTERS.items()}
_RANK = {letter: rank for rank, letter in enumerate(_OUTCOMES)}
_RUN = re.compile(r"(\d+)(\D)")


def packed(outcomes: Iterable[Outcome]) -> str:
    """Outcomes in the order of rows, run-length coded."""
    return "".join(f"{sum(1 for _ in group)}{_LETTERS[outcome]}" for outcome, group in groupby(outcomes))


def packed_length(outcomes: str) -> int:
    """How many rows run-length coded outcomes are of."""
    return sum(int(count) for count, _ in _RUN.findall(outcomes))


def counted(outcomes: Iterable[Outcome], **others: int) -> IngestTotals:
    """Totals of outcomes, with what they do not say: shared, superseded, tokens."""
    counts: dict[str, int] = dict(Counter(outcomes))
    return IngestTotals(**counts, **others)


def spans(receipts: Iterable[Receipt]) -> list[tuple[int, int]]:
    """The rows that receipts stand for: first and last positions, in order, apart from each other."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted((receipt.first, receipt.last) for receipt in receipts if receipt.last >= receipt.first):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def total(receipts: Iterable[Receipt]) -> IngestTotals:
    """The totals of receipts, rows counted once however many receipts they have; tokens were spent each time."""
    totals: Counter[str] = Counter()
    for group in _overlapping(sorted(receipts, key=lambda receipt: (receipt.first, receipt.last))):
        sums: Counter[str] = Counter()
        for receipt in group:
            sums.update(receipt.counts.model_dump())
        if len(group) > 1:
            letters = _merged(group)
            sums.update({outcome: letters[letter] - sums[outcome] for outcome, letter in _LETTERS.items()})
            sums["shared"] = min(sums["shared"], sums["new"] + sums["replaced"])
        totals.update(sums)
    return IngestTotals(**totals)


def _overlapping(receipts: Sequence[Receipt]) -> Iterator[list[Receipt]]:
    """Receipts that are in order, in groups that have no row in common."""
    group: list[Receipt] = []
    last = 0
    for receipt in receipts:
        if group and receipt.first > last:
            yield group
            group = []
        group.append(receipt)
        last = max(last, receipt.last)
    if group:
        yield group


def _merged(group: Sequence[Receipt]) -> Counter[str]:
    """How many rows of overlapping receipts have which letter."""
    first = group[0].first
    rows = [""] * (max(receipt.last for receipt in group) - first + 1)
    for receipt in group:
        position = receipt.first - first
        for count, letter in _RUN.findall(receipt.outcomes):
            for row in range(position, position + int(count)):
                if not rows[row] or _RANK[letter] < _RANK[rows[row]]:
                    rows[row] = letter
            position += int(count)
    return Counter(rows)
