"""What a run is made of: blocks of rows, and what they share. `step.py` stores one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Literal

from rise_store.corpus import RejectedRow
from rise_store.records import Dataset, Example
from rise_store.store import Tombstones

KeepText = Literal["full", "preview", "none"]


@dataclass(frozen=True)
class RunContext:
    """What the blocks of a run share."""

    dataset: Dataset
    keep_text: KeepText = "full"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    tombstones: Tombstones | None = None
    strict: bool = False  # whether a row whose own licence SPDX does not know is rejected
    growing: bool = False  # whether a place in a source may hold another row later on in the run, as in a watch


@dataclass(frozen=True)
class Block:
    """Rows that follow each other in a run; the keys of its examples are distinct."""

    rows: tuple[Example | RejectedRow, ...]
    first: int = 1  # position of the first row in the run

    @property
    def last(self) -> int:
        """Position of the last row in the run."""
        return self.first + len(self.rows) - 1

    @property
    def examples(self) -> list[Example]:
        """The rows that are examples."""
        return [row for row in self.rows if isinstance(row, Example)]
