"""Snapshots of a store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rise_store.records.base import Record


class SnapshotFile(Record):
    """One file of a snapshot."""

    path: str = Field(description="relative to the snapshot's folder, with forward slashes")
    bytes: int = Field(ge=0, description="size of the file, holes included")
    sha256: str = Field(description="SHA-256 of the whole file, hexadecimal, as sha256sum prints it")


class SnapshotManifest(Record):
    """`manifest.json` of a snapshot: a folder is a snapshot if and only if it has one."""

    format: Literal[1] = 1
    engine: Literal["embedded", "server"]
    created_at: str = Field(description="RFC 3339, UTC")
    created_with: str = Field(description="version of rise_store")
    spaces: tuple[str, ...] = Field(description="fingerprints of the spaces")
    files: tuple[SnapshotFile, ...]


class SnapshotReport(Record):
    """What a snapshot or a restore copied."""

    source: str
    target: str
    engine: Literal["embedded", "server"]
    spaces: tuple[str, ...] = Field(description="fingerprints of the spaces")
    files: int
    bytes: int = Field(description="sizes of the files, holes included")
    seconds: float
