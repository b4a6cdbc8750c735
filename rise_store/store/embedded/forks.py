"""What must not be touched in a forked child, where it would write into files that the parent has open."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Abandoned(Protocol):
    """Something open that a forked child inherits."""

    def abandon(self) -> None:
        """In a forked child: never touch what is open again, nor free it, which would write into files."""
        ...


_opened: weakref.WeakSet[Abandoned] = weakref.WeakSet()


def abandon_when_forked(opened: Abandoned) -> None:
    """Have children that are forked from now on abandon it."""
    _opened.add(opened)


def _abandon_all() -> None:
    for opened in list(_opened):
        opened.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
