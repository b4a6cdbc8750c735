"""What checking a store found."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record


class VerifyProblem(Record):
    """Something in a store that is not as it should be."""

    where: str = Field(description="file, space, or example")
    problem: str
    remedy: str


class VerifyCheck(Record):
    """One kind of check over one space, or over the folder of the store."""

    space: str | None = Field(description="fingerprint of the space; null for the store as a whole")
    name: str = Field(description="files, counts, rows, indexes, tables, catalogue, documents ...")
    checked: int = Field(description="how many things were checked")
    problems: int
    note: str | None = Field(None, description="what was not checked and why, or what was put right")


class VerifyReport(Record):
    """What checking a store found."""

    location: str
    checks: tuple[VerifyCheck, ...]
    problems: tuple[VerifyProblem, ...] = Field(description="the first 100 of each check")

    @property
    def count(self) -> int:
        """Problems in all."""
        return sum(check.problems for check in self.checks)
