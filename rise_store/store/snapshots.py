"""Snapshots of any store, and stores from snapshots."""

from __future__ import annotations

import time
from pathlib import Path

from rise_store.errors import StoreError
from rise_store.records import SnapshotManifest, SnapshotReport
from rise_store.store.embedded.snapshots import FileProgress as FileProgress
from rise_store.store.embedded.snapshots import read_manifest, restore_snapshot, write_snapshot


def snapshot_store(location: str, folder: Path, progress: FileProgress = lambda done, total: None) -> SnapshotReport:
    """Copy the store at `location` into the new folder `folder`, with a manifest of checksums.

    `StoreInUseError` when a process has the store open; `StoreError` when it is damaged or `folder` is not empty, and
    then nothing is left of the snapshot.
    """
    started = time.monotonic()
    if _is_server(location):
        raise StoreError(
            f"{location} is a server, and its snapshots are taken by the server itself. Use Qdrant's snapshot API, or "
            "copy the rows with `rise-store export`"
        )
    manifest = write_snapshot(Path(location), folder, progress)
    return _report(location, str(folder), manifest, started)


def restore_store(folder: Path, location: str, progress: FileProgress = lambda done, total: None) -> SnapshotReport:
    """Make a new store at `location` from the snapshot in `folder`; every file is checked first.

    `StoreError` when a file of the snapshot is missing or damaged, or `location` is taken; nothing is left behind then.
    """
    started = time.monotonic()
    manifest = read_manifest(folder)
    if manifest.engine == "server" or _is_server(location):
        raise StoreError(
            f"cannot restore {folder} to {location}: only snapshots of folders are restored, into folders. Restore it "
            "with Qdrant's snapshot API, or copy the rows with `rise-store migrate`"
        )
    restore_snapshot(folder, Path(location), progress)
    return _report(str(folder), location, manifest, started)


def _is_server(location: str) -> bool:
    return location.startswith(("http://", "https://"))


def _report(source: str, target: str, manifest: SnapshotManifest, started: float) -> SnapshotReport:
    return SnapshotReport(
        source=source,
        target=target,
        engine=manifest.engine,
        spaces=manifest.spaces,
        files=len(manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        seconds=time.monotonic() - started,
    )
