"""List what was erased, and lift what was erased by mistake."""

from __future__ import annotations

from rise_store.errors import ConfigError
from rise_store.records import TombstoneReport
from rise_store.store import Tombstones


def tombstones_of(tombstones: Tombstones, *, lift: str | None = None, act: bool = False) -> TombstoneReport:
    """The sets of tombstones, oldest first; with `act` the set `lift` is lifted before they are listed.

    Raises:
        ConfigError: there is no such set.
    """
    sets = tombstones.sets()
    lifted = next((one for one in sets if one.id == lift), None)
    if lift is not None and lifted is None:
        known = ", ".join(one.id for one in sets) or "none"
        raise ConfigError(f"there are no tombstones {lift!r} to lift; sets: {known}")
    if lifted is not None and act:
        tombstones.lift(lifted.id)
        sets = tombstones.sets()
    return TombstoneReport(
        sets=tuple(sets), examples=sum(one.examples for one in sets), lifted=lifted, dry_run=lifted is None or not act
    )
