"""Free what deleted and replaced examples left on disk."""

from __future__ import annotations

from collections.abc import Sequence

from rise_store.records import CompactedSpace, CompactReport
from rise_store.store import Collection


def compact_collections(collections: Sequence[Collection]) -> CompactReport:
    """Compact collections one after the other; none of the bytes of what was deleted remain in their files.

    Raises:
        StoreFullError: the disk has no room for the rewritten files; nothing is lost.
    """
    spaces = []
    for collection in collections:
        before = collection.size_bytes()
        collection.compact()
        spaces.append(
            CompactedSpace(
                space=collection.space.fingerprint,
                examples=collection.count(),
                before_bytes=before,
                after_bytes=collection.size_bytes(),
            )
        )
    return CompactReport(spaces=tuple(spaces))
