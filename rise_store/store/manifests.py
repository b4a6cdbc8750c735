"""`manifest.json` of a snapshot: what is in it, with checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from rise_store.errors import StoreError
from rise_store.records import SnapshotFile, SnapshotManifest
from rise_store.version import __version__

MANIFEST = "manifest.json"
_DAMAGED = "Use another snapshot; nothing was restored"


def new_manifest(
    engine: Literal["embedded", "server"], spaces: Sequence[str], files: Sequence[SnapshotFile]
) -> SnapshotManifest:
    """The manifest of a snapshot that is taken now."""
    return SnapshotManifest(
        engine=engine,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        created_with=__version__,
        spaces=tuple(spaces),
        files=tuple(files),
    )


def write_manifest(folder: Path, manifest: SnapshotManifest) -> SnapshotManifest:
    """Write it into the snapshot's folder, which makes the folder a snapshot."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
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


def check_file(folder: Path, file: SnapshotFile, *, content: bool) -> None:
    """`StoreError` when a file of the snapshot is missing or has another size, or, with `content`, another SHA-256."""
    path = folder / file.path
    if not path.is_file():
        raise StoreError(f"the snapshot in {folder} is incomplete: {path} is missing. {_DAMAGED}")
    if path.stat().st_size != file.bytes:
        found = f"{path.stat().st_size:,} bytes instead of {file.bytes:,}"
        raise StoreError(f"the snapshot in {folder} is damaged: {path} has {found}. {_DAMAGED}")
    if content:
        digest = hashlib.sha256()
        with path.open("rb") as opened:
            while chunk := opened.read(2**20):
                digest.update(chunk)
        check_sha256(folder, file, digest.hexdigest())


def check_sha256(folder: Path, file: SnapshotFile, found: str) -> None:
    """`StoreError` unless `found` is the SHA-256 of the file of the snapshot in `folder`."""
    if found != file.sha256:
        raise StoreError(
            f"the snapshot in {folder} is damaged: the SHA-256 of {folder / file.path} is {found[:12]}… instead of "
            f"{file.sha256[:12]}…. {_DAMAGED}"
        )
