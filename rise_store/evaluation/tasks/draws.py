"""Draws that follow from a seed and a name alone: the same on every machine and in every Python."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def draw(seed: int, *name: object) -> int:
    """A number of 64 bits."""
    digest = hashlib.sha256("\0".join(map(str, (seed, *name))).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def shuffled(items: Iterable[T], seed: int, *name: object) -> list[T]:
    """The items in an order that follows from what they are."""
    return sorted(items, key=lambda item: (draw(seed, *name, repr(item)), repr(item)))


def pick(items: Sequence[T], seed: int, *name: object) -> T:
    """One of the items."""
    return items[draw(seed, *name) % len(items)]
