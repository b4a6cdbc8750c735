"""Rows in pages, so that memory does not grow with the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

Progress = Callable[[int, int], None]  # is told rows done and rows in all

_PAGE_BYTES = 32 * 2**20
_MOST_ROWS = 1_000

T = TypeVar("T")


def rows_a_page(dim: int) -> int:
    """How many rows of `dim` float32 coordinates are handled at a time."""
    return max(1, min(_MOST_ROWS, _PAGE_BYTES // (4 * dim)))


def in_pages(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items; the next one is read when it is asked for."""
    iterator = iter(items)
    while page := list(islice(iterator, size)):
        yield page
