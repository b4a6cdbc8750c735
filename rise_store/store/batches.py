"""Cutting work into calls of a bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(
    items: Iterable[T], rows: int, *, most_bytes: int | None = None, size: Callable[[T], int] | None = None
) -> Iterator[list[T]]:
    """Lists of at most `rows` items, which together have at most `most_bytes` by `size`; a larger item goes alone."""
    batch: list[T] = []
    filled = 0
    for item in items:
        needed = size(item) if size else 0
        if batch and (len(batch) == rows or (most_bytes is not None and filled + needed > most_bytes)):
            yield batch
            batch, filled = [], 0
        batch.append(item)
        filled += needed
    if batch:
        yield batch
