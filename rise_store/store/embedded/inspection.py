"""What can be said of the files of a store without opening it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rise_store.errors import StoreError
from rise_store.store.embedded.catalogue import FILE
from rise_store.store.embedded.checksums import REMEDY, Checksums
from rise_store.store.embedded.drafts import LOCK_NAME
from rise_store.store.embedded.engine import engine_errors
from rise_store.store.embedded.layout import StoreFolder, check_location
from rise_store.store.embedded.lock import StoreLock
from rise_store.store.findings import Findings

_OURS = {"store.json", "lock", "spaces", "catalogue", "store.json.tmp", LOCK_NAME}
_OURS_OF_CATALOGUE = {FILE, f"{FILE}-wal"}
_OURS_OF_SPACE = {"space.json", "tables.npz", "state.json", "state.json.tmp", "points"}


@dataclass(frozen=True, slots=True)
class Inspected:
    """What may be opened."""

    spaces: list[str]  # names of the whole ones
    damaged: list[str]  # of the others
    catalogue: bool | None  # whether it is whole; None where there is none


def inspect_folder(root: Path, findings: Findings, progress: Callable[[str, int, int], None]) -> Inspected:
    """Compare every file below `root` with its checksum.

    `StoreInUseError` when a process has the store open; `StoreError` when the folder is no store.
    """
    check_location(root, create=False)
    lock = StoreLock(root)
    try:
        with engine_errors(str(root), "read its files"):
            folder = StoreFolder(root)
            below = root / "spaces"  # not there yet when a process died while it created the store
            entries = sorted(below.iterdir()) if below.exists() else []
            leftovers = [path for path in entries if path.name.startswith(".new-")]
            spaces = [path for path in entries if path not in leftovers]
            _find_orphans(root, spaces, len(leftovers), findings)
            damaged = [space.name for space in spaces if not _is_whole(folder, space, findings, progress)]
            whole = [space.name for space in spaces if space.name not in damaged]
            catalogue = folder.catalogue
            return Inspected(
                whole, damaged, _has_whole_files(catalogue, None, findings, progress) if catalogue.is_dir() else None
            )
    finally:
        lock.release()


def _find_orphans(root: Path, spaces: list[Path], leftovers: int, findings: Findings) -> None:
    entries = [path for path in root.iterdir() if path.name not in _OURS]
    for space in spaces:
        if space.is_dir():
            entries += [
                path for path in space.iterdir() if path.name not in _OURS_OF_SPACE and "checksums." not in path.name
            ]
    if (catalogue := root / "catalogue").is_dir():
        entries += [
            path
            for path in catalogue.iterdir()
            if path.name not in _OURS_OF_CATALOGUE and "checksums." not in path.name
        ]
    for path in sorted(entries):
        findings.add(None, "orphans", path, "belongs to nothing in the store", "Move it away, or delete it")
    note = (
        f"{leftovers} left by a process that died while it created a space; opening removes them" if leftovers else None
    )
    findings.check(None, "orphans", len(_OURS) + len(spaces) + len(entries), note)


def _is_whole(folder: StoreFolder, space: Path, findings: Findings, progress: Callable[[str, int, int], None]) -> bool:
    try:
        folder.space(space.name)  # its record is there, and has the fingerprint that the folder is called after
    except StoreError as error:
        findings.add(space.name, "files", space, str(error), REMEDY)
        return False
    return _has_whole_files(space, space.name, findings, progress)


def _has_whole_files(
    part: Path, name: str | None, findings: Findings, progress: Callable[[str, int, int], None]
) -> bool:
    """Compare the files of the space `name`, or of the catalogue, with their checksums."""
    whole = True
    check = "catalogue" if name is None else "files"
    try:
        sums = Checksums(part)
    except StoreError as error:
        findings.add(name, check, part, str(error), REMEDY)
        return False
    done = 0

    def count(files: int) -> None:
        nonlocal done
        done += files
        progress(f"files of {part.name}", done, len(sums.sums))

    for problem in sums.problems(count):
        findings.add(name, check, problem.path, problem.problem, REMEDY)
        whole = False
    for path in sums.unknown():
        if not path.startswith("points/"):
            continue  # an orphan, if it is not ours
        findings.add(name, check, part / path, "appeared after the store was closed", "Move it away, or delete it")
        whole = False
    note = None
    if not sums.clean:
        note = (
            "a process that had the store open died: files that it may have changed could not be checked"
            if sums.sums
            else "the store has no checksums yet: closing it writes them"
        )
    findings.check(name, check, done, note)
    return whole
