"""The documents of one store's catalogue into another's: datasets, runs, receipts, tombstones, presets."""

from __future__ import annotations

from collections.abc import Collection

from rise_store.store import Catalogue, Document, Tombstones
from rise_store.store.tombstones import KIND as TOMBSTONE_KIND
from rise_store.store.tombstones import SECRET_KIND, joined

_PAGE = 200


def copy_documents(source: Catalogue, target: Catalogue, spaces: Collection[str]) -> int:
    """Copy what the target has not; how many documents that were.

    What the target has of the same name stays, but for runs that are not complete there, and for tombstones, which then
    belong to the erasures of both stores. Runs, with their receipts, and presets are those of the spaces, which their
    fingerprints name. The secret that makes the tombstones recognisable goes first.
    """
    Tombstones(target).take_secrets(source)
    runs = {key for key, run in source.scan("run") if run.get("space") in spaces}
    waiting: dict[tuple[str, str], dict[str, Document]] = {}
    copied = 0
    for kind, key, owner, document in source.entries():
        if kind == SECRET_KIND or (kind == "run" and key not in runs) or (kind == "receipt" and owner not in runs):
            continue
        if kind == "preset" and document.get("space") not in spaces:
            continue
        page = waiting.setdefault((kind, owner), {})
        page[key] = document
        if len(page) == _PAGE:
            copied += _copy(target, kind, owner, waiting.pop((kind, owner)))
    for (kind, owner), page in waiting.items():
        copied += _copy(target, kind, owner, page)
    return copied


def _copy(target: Catalogue, kind: str, owner: str, page: dict[str, Document]) -> int:
    held = target.get(kind, page)
    missing = {key: document for key, document in page.items() if key not in held}
    target.insert(kind, missing, owner=owner)
    fresher = {
        key: document
        for key, document in page.items()
        if kind == "run" and key in held and held[key].get("state") != "COMPLETE" and held[key] != document
    }
    if fresher:
        target.put(kind, fresher, owner=owner)
    shared = {
        key: joined(held[key], document) for key, document in page.items() if kind == TOMBSTONE_KIND and key in held
    }
    more = {key: document for key, document in shared.items() if document != held[key]}
    for key, document in more.items():
        target.put(kind, {key: document}, owner=document["erasure"])
    return len(missing) + len(fresher) + len(more)
