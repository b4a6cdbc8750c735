"""What a check of a store has found so far."""

from __future__ import annotations

from collections import Counter

from rise_store.records import VerifyCheck, VerifyProblem, VerifyReport

_MOST_LISTED = 100


class Findings:
    """Collects checks and problems; of each check the first 100 problems are kept, and all are counted."""

    def __init__(self) -> None:
        self._checks: dict[tuple[str | None, str], tuple[int, str | None]] = {}
        self._counts: Counter[tuple[str | None, str]] = Counter()
        self._problems: list[VerifyProblem] = []

    def check(self, space: str | None, name: str, checked: int, note: str | None = None) -> None:
        """Note that `checked` things of the space were checked."""
        self._checks[space, name] = (checked, note)

    def add(self, space: str | None, name: str, where: object, problem: str, remedy: str) -> None:
        """Note a problem."""
        self._checks.setdefault((space, name), (1, None))
        self._counts[space, name] += 1
        if self._counts[space, name] <= _MOST_LISTED:
            self._problems.append(VerifyProblem(where=str(where), problem=problem, remedy=remedy))

    def report(self, location: str) -> VerifyReport:
        """All of it as a record."""
        checks = (
            VerifyCheck(space=space, name=name, checked=checked, problems=self._counts[space, name], note=note)
            for (space, name), (checked, note) in self._checks.items()
        )
        return VerifyReport(location=location, checks=tuple(checks), problems=tuple(self._problems))
