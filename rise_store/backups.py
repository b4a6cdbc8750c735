"""What is done to a whole store that nobody has open: verify it, copy it, make a new one of the copy."""

from __future__ import annotations

from pathlib import Path

from rise_store.records import SnapshotReport, VerifyReport
from rise_store.store import open_store
from rise_store.store.snapshots import FileProgress, restore_store, snapshot_store
from rise_store.store.verification import VerifyProgress, verify_store


class Backups:
    """The part of `AttributionStore` that opens the store itself."""

    @staticmethod
    def verify(location: str | Path, *, progress: VerifyProgress | None = None) -> VerifyReport:
        """Check every file and every row of the store at `location`, which need not be fit to be opened.

        Args:
            location: of a store that no process has open.
            progress: is told what is checked, how much of it was, and how much there is.

        Raises:
            StoreInUseError: a process has the store open.
            StoreError: there is no store.
        """
        return verify_store(str(location), open_store, progress or (lambda what, done, total: None))

    @staticmethod
    def snapshot(location: str | Path, folder: str | Path, *, progress: FileProgress | None = None) -> SnapshotReport:
        """Copy the store at `location`, which no process has open, into the new folder `folder`, with checksums.

        Args:
            location: of the store.
            folder: appears when the snapshot is complete.
            progress: is told the bytes copied, and how many there are.

        Raises:
            StoreInUseError: a process has the store open.
            StoreError: the store is damaged, `folder` is not empty, or the disk is too full.
        """
        return snapshot_store(str(location), Path(folder), progress or (lambda done, total: None))

    @staticmethod
    def restore(folder: str | Path, location: str | Path, *, progress: FileProgress | None = None) -> SnapshotReport:
        """Make a new store at `location` from the snapshot in `folder`.

        Args:
            folder: what `snapshot` made.
            location: a new or empty folder, or the URL of a store on a server that is not there yet.
            progress: is told the bytes copied, and how many there are.

        Raises:
            StoreError: a file of the snapshot is missing or damaged, `location` is not empty, or the disk is too full;
                nothing is left of the new store. Where a server fails on the way, collections that belong to no store
                may be left there: restoring again replaces them.
        """
        return restore_store(Path(folder), str(location), progress or (lambda done, total: None))
