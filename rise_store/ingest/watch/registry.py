"""The files that a watch follows, and what became of them since they were last looked at."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from rise_store.corpus.remote import is_remote
from rise_store.ingest.watch.followed import Followed
from rise_store.ingest.watch.growing import FollowedLines
from rise_store.ingest.watch.positions import Position, Positions
from rise_store.ingest.watch.seen import Seen, see, seen_by_stat
from rise_store.ingest.watch.targets import Target

Follow = Callable[[str, str, Position | None], Followed]  # name, source and position of a file


class Registry:
    """The followed files of all targets, by name."""

    def __init__(self, targets: Iterable[Target], positions: Positions, follow: Follow) -> None:
        self._targets = list(targets)
        self._follow = follow
        self.files: dict[str, Followed] = {}
        self.active: dict[int, Followed] = {}  # those with something to be read, in turn
        self.gone: list[Followed] = []
        self.moved: list[tuple[Position, Position | None]] = []  # to be written: what was, and what is instead
        self.missing: set[str] = set()  # sources that cannot be looked at
        self._looked: dict[str, float] = {}
        for target in self._targets:
            for position in positions.load(target.source):
                self.files[position.name] = follow(position.name, target.source, position)

    def look(self, target: Target, hints: dict[str, float]) -> None:
        """Look at all files of a target; `hints` are the times at which names were noticed to have changed."""
        now = time.monotonic()
        before = self._looked.get(target.source)
        found = target.look()
        if found is None:
            self.missing.add(target.source)
            return
        self.missing.discard(target.source)
        self._looked[target.source] = now
        own = {
            name: file
            for name, file in self.files.items()
            if file.source == target.source and name not in target.unseen
        }
        for name, file in own.items():
            if name not in found and isinstance(file, FollowedLines):
                seen = _see(file)  # a file that was renamed to a name that is no target's
                if seen is not None and seen.inode == file.inode:
                    found[name] = seen
        self._find_renamed(own, found)
        for name, seen in found.items():
            known = self.files.get(name)
            if known is None:
                known = self.files[name] = self._follow(name, target.source, None)
            elif known.source != target.source:
                continue  # another source has it already
            self._notice(known, seen, _arrival(seen, hints.get(name), before, now), waits=before is not None)

    def glance(self, name: str, at: float) -> bool:
        """Look at one local file that was noticed to have changed; False where all have to be looked at instead."""
        file = self.files.get(name)
        if file is None:
            if any(target.may_hold(name) for target in self._targets):
                return False
            return os.path.isfile(name) or os.path.basename(name).startswith(".")  # else perhaps a folder
        seen = _see(file) if file.seen is not None else None
        if seen is None or seen.inode != file.inode:
            return False
        self._notice(file, seen, at)
        return True

    def settle(self, file: Followed) -> None:
        """A file was read as far as it goes for the moment."""
        if file.ready_in(0.0) is None:
            self.active.pop(id(file), None)

    def defer(self, file: Followed) -> None:
        """It is the turn of all other files before this one."""
        if self.active.pop(id(file), None) is not None:
            self.active[id(file)] = file

    def bury(self) -> None:
        """Forget the files that are gone, once nothing of them is on its way."""
        for file in [file for file in self.gone if file.pending == 0 and file.ready_in(0.0) is None]:
            self.gone.remove(file)
            self.active.pop(id(file), None)
            if self.files.get(file.name) is file:
                del self.files[file.name]
            if file.position is not None:
                self.moved.append((file.position, None))
            file.close()

    def close(self) -> None:
        """Give all files back."""
        for file in self.files.values():
            file.close(now=True)

    def _notice(self, file: Followed, seen: Seen, at: float, *, waits: bool = True) -> None:
        if file.gone:  # it is back
            file.gone = False
            self.gone.remove(file)
        file.notice(seen, at, waits=waits)
        if file.ready_in(at) is not None:
            self.active.setdefault(id(file), file)

    def _find_renamed(self, own: dict[str, Followed], found: dict[str, Seen]) -> None:
        lost = {name: f for name, f in own.items() if name not in found or found[name].inode != f.inode}
        if not lost:
            return
        by_inode = {seen.inode: name for name, seen in found.items() if seen.inode is not None}
        siblings: dict[str, dict[str, Seen]] = {}
        moves: list[tuple[FollowedLines, str]] = []
        for name, file in lost.items():
            new = None
            if isinstance(file, FollowedLines) and file.inode is not None and not is_remote(name):
                new = by_inode.get(file.inode)
                if new is None:
                    folder = os.path.dirname(file.seen.address if file.seen else name)
                    if folder not in siblings:
                        siblings[folder] = _siblings(folder)
                    seen = siblings[folder].get(file.inode)
                    if seen is not None:
                        new = seen.name
                        found[new] = seen
                if new is not None and new in own and new not in lost:
                    new = None  # a hard link
                if new is not None:
                    moves.append((file, new))
            if new is None and name not in found and not file.gone:
                file.gone = True
                self.gone.append(file)
        for file, _ in moves:  # before any takes its new name, which may be the old one of another
            del self.files[file.name]
        for file, new in moves:
            old = file.position
            file.rename(new)
            self.files[new] = file
            if old is not None:
                file.position = old.model_copy(update={"name": new})
                self.moved.append((old, file.position))


def _see(file: Followed) -> Seen | None:
    """A local file where it was before; None where it is not, or cannot be looked at for the moment."""
    before = file.seen
    try:
        return see(before.address, time.time(), before.relative) if before else see(file.name, time.time())
    except OSError:
        return None


def _arrival(seen: Seen, hint: float | None, before: float | None, now: float) -> float:
    """When a change came, by the monotonic clock: never before the last look, whatever the file's clock says."""
    if hint is not None:
        return hint
    if before is None or seen.age_s is None:
        return now
    return now - min(max(seen.age_s, 0.0), now - before)


def _siblings(folder: str) -> dict[str, Seen]:
    """The files of a folder by inode."""
    now = time.time()
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    seen = seen_by_stat(entry.path, entry.stat(follow_symlinks=False), now)
                    if seen is not None and seen.inode is not None:
                        found[seen.inode] = seen
    except OSError:
        return {}
    return found
