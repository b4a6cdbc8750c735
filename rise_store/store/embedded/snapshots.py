"""Copies of an embedded store that can be checked: a folder with the store's files and a manifest of their SHA-256."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
from rise_store.store.manifests import check_file, check_sha256, new_manifest, read_manifest, write_manifest

FileProgress = Callable[[int, int], None]  # bytes done, bytes in all

_SPARE_BYTES = 64 * MIB  # for directories, and for what opening a copy writes


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
        parts = [*spaces, *(path for path in [root / "catalogue"] if path.is_dir())]
        unclean = [part for part in parts if not Checksums(part).clean]
        if unclean:
            raise StoreError(f"the store at {root} was opened by another process meanwhile. Take the snapshot again")
        with engine_errors(str(folder), "write the snapshot"), draft_of(folder) as draft:
            require_free(draft, size_bytes(root) + _SPARE_BYTES, "take a snapshot", str(folder))
            paths = ["store.json", *(path for part in parts for path in _files_below(part, root))]
            files = _copy_all(root, draft, paths, progress)
            for part in parts:
                _check_copies(part, {file.path for file in files}, root)
            manifest = write_manifest(draft, new_manifest("embedded", [space.name for space in spaces], files))
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
        check_file(folder, file, content=False)
    with engine_errors(str(root), "restore the snapshot"), draft_of(root) as draft:
        require_free(draft, size_bytes(folder) + _SPARE_BYTES, "restore a snapshot", str(root))
        paths = [file.path for file in manifest.files]
        for expected, copied in zip(manifest.files, _copy_all(folder, draft, paths, progress), strict=True):
            check_sha256(folder, expected, copied.sha256)
        with EmbeddedBackend(draft) as store:
            opened = {space.fingerprint for space in store.spaces()}
            for fingerprint in opened:
                store.open_collection(fingerprint)
            if (draft / "catalogue").is_dir():
                store.catalogue()
        if opened != set(manifest.spaces):
            raise StoreError(f"the snapshot in {folder} has the spaces {sorted(opened)}, not those of its manifest")
    return manifest


def _close_cleanly(root: Path) -> None:
    """Open and close what a process that died left unclean, so that its log is applied and checksums are fresh."""
    with EmbeddedBackend(root) as store:
        for space in store.spaces():
            if not Checksums(root / "spaces" / space.fingerprint).clean:
                store.open_collection(space.fingerprint)
        if (catalogue := root / "catalogue").is_dir() and not Checksums(catalogue).clean:
            store.catalogue()


def _check_copies(part: Path, copied: set[str], root: Path) -> None:
    """Damage in the store is better found when it is copied than when it is restored."""
    for problem in Checksums(part).problems():
        raise StoreError(
            f"{problem.path} {problem.problem}. No snapshot was taken; run `rise-store verify` on the store"
        )
    missing = [path for path in _files_below(part, root) if path not in copied]
    if missing:
        raise StoreError(f"the store at {root} changed while it was copied. Take the snapshot again")


def _space_folders(root: Path) -> list[Path]:
    return sorted(path for path in (root / "spaces").iterdir() if not path.name.startswith("."))


def _files_below(part: Path, root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in part.rglob("*") if path.is_file())


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
