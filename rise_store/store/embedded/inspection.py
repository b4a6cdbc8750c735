"""What can be said of the files of a store without opening it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rise_store.errors import StoreError
from rise_store.store.embedded.checksums import REMEDY, Checksums
from rise_store.store.embedded.drafts import LOCK_NAME
from rise_store.store.embedded.engine import engine_errors
from rise_store.store.embedded.layout import StoreFolder, check_location
from rise_store.store.embedded.lock import StoreLock
from rise_store.store.findings import Findings

_OURS = {"store.json", "lock", "spaces", "catalogue", "store.json.tmp", LOCK_NAME}
_OURS_OF_SPACE = {"space.json", "tables.npz", "state.json", "state.json.tmp", "points"}


def inspect_folder(
    root: Path, findings: Findings, progress: Callable[[str, int, int], None]
) -> tuple[list[str], list[str]]:
    """Compare every file below `root` with its checksum; the names of the whole spaces, and of the damaged ones.

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
            return [space.name for space in spaces if space.name not in damaged], damaged
    finally:
        lock.release()


def _find_orphans(root: Path, spaces: list[Path], leftovers: int, findings: Findings) -> None:
    entries = [path for path in root.iterdir() if path.name not in _OURS]
    for space in spaces:
        if space.is_dir():
            entries += [
                path for path in space.iterdir() if path.name not in _OURS_OF_SPACE and "checksums." not in path.name
            ]
    for path in sorted(entries):
        findings.add(None, "orphans", path, "belongs to nothing in the store", "Move it away, or delete it")
    note = (
        f"{leftovers} left by a process that died while it created a space; opening removes them" if leftovers else None
    )
    findings.check(None, "orphans", len(_OURS) + len(spaces) + len(entries), note)


def _is_whole(folder: StoreFolder, space: Path, findings: Findings, progress: Callable[[str, int, int], None]) -> bool:
    name = space.name
    whole = True
    try:
        folder.space(name)  # its record is there, and has the fingerprint that the folder is called after
        sums = Checksums(space)
    except StoreError as error:
        findings.add(name, "files", space, str(error), REMEDY)
        return False
    done = 0

    def count(files: int) -> None:
        nonlocal done
        done += files
        progress(f"files of {name}", done, len(sums.sums))

    for problem in sums.problems(count):
        findings.add(name, "files", problem.path, problem.problem, REMEDY)
        whole = False
    for path in sums.unknown():
        if not path.startswith("points/"):
            continue  # an orphan, if it is not ours
        findings.add(name, "files", space / path, "appeared after the store was closed", "Move it away, or delete it")
        whole = False
    note = None
    if not sums.clean:
        note = (
            "a process that had the store open died: files that it may have changed could not be checked"
            if sums.sums
            else "the store has no checksums yet: closing it writes them"
        )
    findings.check(name, "files", done, note)
    return whole
