"""Copies of an embedded store that can be checked: a folder with the store's files and a manifest of their SHA-256."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from rise_store.errors import StoreError
from rise_store.records import SnapshotFile, SnapshotManifest
from rise_store.store.embedded.backend import EmbeddedBackend
from rise_store.store.embedded.checksums import Checksums
from rise_store.store.embedded.disk import MIB, require_free, size_bytes
from rise_store.store.embedded.drafts import check_vacant, draft_of
from rise_store.store.embedded.engine import engine_errors
from rise_store.store.embedded.layout import check_location
from rise_store.store.embedded.lock import StoreLock
from rise_store.store.embedded.sparse import copy_file
from rise_store.version import __version__

MANIFEST = "manifest.json"
FileProgress = Callable[[int, int], None]  # bytes done, bytes in all

_SPARE_BYTES = 64 * MIB  # for directories, and for what opening a copy writes
_DAMAGED = "Use another snapshot; nothing was restored"


def write_snapshot(root: Path, folder: Path, progress: FileProgress) -> SnapshotManifest:
    """Copy the store in `root`, closed cleanly, to the new folder `folder`, and write its manifest there last.

    `StoreInUseError` when a process has the store open; `StoreError` when it is damaged, or `folder` is not empty.
    """
    check_location(root, create=False)
    check_vacant(folder)
    if folder.absolute().is_relative_to(root.absolute()):
        raise StoreError(f"{folder} is inside the store at {root}. Name a folder outside of it")
    _close_cleanly(root)
    lock = StoreLock(root)
    try:
        spaces = _space_folders(root)
        unclean = [space for space in spaces if not Checksums(space).clean]
        if unclean:
            raise StoreError(f"the store at {root} was opened by another process meanwhile. Take the snapshot again")
        with engine_errors(str(folder), "write the snapshot"), draft_of(folder) as draft:
            require_free(draft, size_bytes(root) + _SPARE_BYTES, "take a snapshot", str(folder))
            paths = ["store.json", *(path for space in spaces for path in _files_below(space, root))]
            manifest = SnapshotManifest(
                engine="embedded",
                created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                created_with=__version__,
                spaces=tuple(space.name for space in spaces),
                files=tuple(_copy_all(root, draft, paths, progress)),
            )
            for space in spaces:
                _check_copies(space, {file.path: file for file in manifest.files}, root)
            (draft / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    finally:
        lock.release()
    return manifest


def restore_snapshot(folder: Path, root: Path, progress: FileProgress) -> SnapshotManifest:
    """Make a store in the new folder `root` from the snapshot in `folder`, checking every file and opening it once.

    `StoreError`, naming the file, when one is missing or damaged, and nothing is left behind.
    """
    manifest = read_manifest(folder)
    check_vacant(root)
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            raise StoreError(f"the snapshot in {folder} is incomplete: {path} is missing. {_DAMAGED}")
        if path.stat().st_size != file.bytes:
            found = f"{path.stat().st_size:,} bytes instead of {file.bytes:,}"
            raise StoreError(f"the snapshot in {folder} is damaged: {path} has {found}. {_DAMAGED}")
    with engine_errors(str(root), "restore the snapshot"), draft_of(root) as draft:
        require_free(draft, size_bytes(folder) + _SPARE_BYTES, "restore a snapshot", str(root))
        paths = [file.path for file in manifest.files]
        for expected, copied in zip(manifest.files, _copy_all(folder, draft, paths, progress), strict=True):
            if copied != expected:
                raise StoreError(
                    f"the snapshot in {folder} is damaged: the SHA-256 of {folder / expected.path} is "
                    f"{copied.sha256[:12]}… instead of {expected.sha256[:12]}…. {_DAMAGED}"
                )
        with EmbeddedBackend(draft) as store:
            opened = {space.fingerprint for space in store.spaces()}
            for fingerprint in opened:
                store.open_collection(fingerprint)
        if opened != set(manifest.spaces):
            raise StoreError(f"the snapshot in {folder} has the spaces {sorted(opened)}, not those of its manifest")
    return manifest


def read_manifest(folder: Path) -> SnapshotManifest:
    """The manifest of the snapshot in `folder`; `StoreError` when there is none, or it is damaged."""
    path = folder / MANIFEST
    try:
        manifest = SnapshotManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(
            f"{folder} is not a snapshot: it has no {MANIFEST}. Name a folder that a snapshot made"
        ) from error
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise StoreError(f"{path} is damaged: {reason}. {_DAMAGED}") from error
    for file in manifest.files:
        pure = PurePosixPath(file.path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in file.path or file.path == MANIFEST:
            raise StoreError(f"{path} is damaged: {file.path!r} is not a path inside a snapshot. {_DAMAGED}")
    return manifest


def _close_cleanly(root: Path) -> None:
    """Open and close what a process that died left unclean, so that its log is applied and checksums are fresh."""
    with EmbeddedBackend(root) as store:
        for space in store.spaces():
            if not Checksums(root / "spaces" / space.fingerprint).clean:
                store.open_collection(space.fingerprint)


def _check_copies(space: Path, copied: dict[str, SnapshotFile], root: Path) -> None:
    """Damage in the store is better found when it is copied than when it is restored."""
    for problem in Checksums(space).problems():
        raise StoreError(
            f"{problem.path} {problem.problem}. No snapshot was taken; run `rise-store verify` on the store"
        )
    missing = [path for path in _files_below(space, root) if path not in copied]
    if missing:
        raise StoreError(f"the store at {root} changed while it was copied. Take the snapshot again")


def _space_folders(root: Path) -> list[Path]:
    return sorted(path for path in (root / "spaces").iterdir() if not path.name.startswith("."))


def _files_below(space: Path, root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in space.rglob("*") if path.is_file())


def _copy_all(source: Path, target: Path, paths: list[str], progress: FileProgress) -> list[SnapshotFile]:
    total = sum((source / path).stat().st_size for path in paths)
    copied: list[SnapshotFile] = []
    done = 0
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        size, sha256 = copy_file(source / path, target / path)
        copied.append(SnapshotFile(path=path, bytes=size, sha256=sha256))
        done += size
        progress(done, total)
    return copied
