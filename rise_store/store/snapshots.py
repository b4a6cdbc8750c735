"""Snapshots of any store, and stores from snapshots."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from rise_store.errors import StoreError
from rise_store.records import SnapshotManifest, SnapshotReport
from rise_store.store.embedded import snapshots as embedded
from rise_store.store.embedded.drafts import check_vacant, draft_of
from rise_store.store.embedded.engine import engine_errors
from rise_store.store.embedded.snapshots import FileProgress as FileProgress
from rise_store.store.location import is_server
from rise_store.store.manifests import check_file, new_manifest, read_manifest, write_manifest


def snapshot_store(location: str, folder: Path, progress: FileProgress = lambda done, total: None) -> SnapshotReport:
    """Copy the store at `location` into the new folder `folder`, with a manifest of checksums.

    `StoreInUseError` when a process has the store's folder open; `StoreError` when the store is damaged or `folder` is
    not empty, and then nothing is left of the snapshot.
    """
    started = time.monotonic()
    if is_server(location):
        manifest = _snapshot_server(location, folder, progress)
    else:
        manifest = embedded.write_snapshot(Path(location), folder, progress)
    return _report(location, str(folder), manifest, started)


def restore_store(folder: Path, location: str, progress: FileProgress = lambda done, total: None) -> SnapshotReport:
    """Make a new store at `location` from the snapshot in `folder`; every file is checked first.

    `StoreError` when a file of the snapshot is missing or damaged, or `location` is taken; nothing is left behind then.
    Where a server fails on the way, collections that belong to no store may be left there: restoring again replaces
    them.
    A snapshot of a server is restored to a server, one of a folder to a folder.
    """
    started = time.monotonic()
    manifest = read_manifest(folder)
    engine: Literal["embedded", "server"] = "server" if is_server(location) else "embedded"
    if manifest.engine != engine:
        kinds = {"embedded": "a folder", "server": "a server"}
        raise StoreError(
            f"{folder} is the snapshot of {kinds[manifest.engine]} and cannot be restored to {kinds[engine]}. "
            f"Restore it to {kinds[manifest.engine]}, and copy that with `rise-store migrate`"
        )
    if engine == "server":
        _restore_server(folder, location, manifest, progress)
    else:
        embedded.restore_snapshot(folder, Path(location), progress)
    return _report(str(folder), location, manifest, started)


def _snapshot_server(location: str, folder: Path, progress: FileProgress) -> SnapshotManifest:
    from rise_store.store.server import open_server  # here, as folders need no client of a server
    from rise_store.store.server.snapshots import download

    check_vacant(folder)
    with (
        engine_errors(str(folder), "write the snapshot"),
        open_server(location) as store,
        draft_of(folder) as draft,
    ):
        spaces = [space.fingerprint for space in store.spaces()]
        files = download(store, draft, progress)
        return write_manifest(draft, new_manifest("server", spaces, files))


def _restore_server(folder: Path, location: str, manifest: SnapshotManifest, progress: FileProgress) -> None:
    from rise_store.store.server.snapshots import upload

    with engine_errors(str(folder), "restore the snapshot"):
        for file in manifest.files:
            check_file(folder, file, content=True)
        upload(location, folder, manifest.files, progress)


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
