"""What was erased may not come back: tombstones, which disclose nothing about what they stand for.

An example has two tombstones, documents of the catalogue whose keys are HMACs under a secret of the store: one of its
dataset and key, one of its content hash. They say when, why and in which erasure they were made.

Each store makes its own secret. A store that took in another one's tombstones has that one's secret beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import NamedTuple
from uuid import uuid4

from rise_store.records import TombstoneSet
from rise_store.store.catalogue import Catalogue, Document

KIND, SECRET_KIND = "tombstone", "tombstone-secret"
OWN_SECRET = "own"
_PAGE = 1_000


class Identity(NamedTuple):
    """What a tombstone recognises an example by."""

    dataset: str
    example_key: str
    content_sha256: str


@dataclass(frozen=True)
class Erasure:
    """One erasure: what its tombstones say."""

    reason: str = ""
    id: str = ""
    at: str = ""

    @classmethod
    def begin(cls, reason: str = "") -> Erasure:
        """A new one; the reason is kept as it is, so it should name no content."""
        return cls(reason, uuid4().hex[:12], datetime.now(timezone.utc).isoformat(timespec="seconds"))


class Tombstones:
    """The tombstones in a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def add(self, examples: Iterable[Identity], erasure: Erasure) -> int:
        """Refuse these examples from now on, by dataset and key as well as by content; how many were not refused yet.

        An example that is refused by its content alone, as that of another dataset, counts as not refused yet.
        """
        secret = self._own_secret()
        names: dict[str, str] = {}
        for example in examples:
            by_key, by_content = _names(example, secret)
            names |= {by_key: "key", by_content: "content"}
        said = {"erasure": erasure.id, "at": erasure.at, "reason": erasure.reason}
        held = self._catalogue.get(KIND, names)
        new = {name: {"by": by, **said} for name, by in names.items() if name not in held}
        if new:
            self._catalogue.insert(KIND, new, owner=erasure.id)
            held = self._catalogue.get(KIND, names)  # another erasure may have been first meanwhile
        for name, document in held.items():
            both = joined(document, said)
            if both != document:
                self._catalogue.put(KIND, {name: both}, owner=document["erasure"])
        return sum(document["by"] == "key" for document in new.values())

    def refused(self, examples: Sequence[Identity]) -> list[bool]:
        """Which of the examples may not be stored.

        Two reads for any number of examples, one where nothing was ever erased.
        """
        known = self._secrets() if examples else []
        if not known:
            return [False] * len(examples)
        names = [[name for secret in known for name in _names(example, secret)] for example in examples]
        found = self._catalogue.get(KIND, [name for some in names for name in some])
        return [any(name in found for name in some) for some in names]

    def sets(self) -> list[TombstoneSet]:
        """The tombstones by erasure, oldest first."""
        found: dict[str, Document] = {}
        counts: dict[str, int] = {}
        for _, document in self._catalogue.scan(KIND):
            for said in (document, *document.get("also", [])):
                found[said["erasure"]] = said
                counts[said["erasure"]] = counts.get(said["erasure"], 0) + (document["by"] == "key")
        listed = [
            TombstoneSet(id=id_, erased_at=said["at"], reason=said["reason"], examples=counts[id_])
            for id_, said in found.items()
        ]
        return sorted(listed, key=lambda one: (one.erased_at, one.id))

    def lift(self, erasure: str) -> None:
        """Let the examples of an erasure come back, but those that another one erased too."""
        gone: list[str] = []
        for name, document in list(self._catalogue.scan(KIND)):
            said = [{key: document[key] for key in ("erasure", "at", "reason")}, *document.get("also", [])]
            left = [one for one in said if one["erasure"] != erasure]
            if len(left) == len(said):
                continue
            if left:
                changed = {"by": document["by"], **left[0]} | ({"also": left[1:]} if left[1:] else {})
                self._catalogue.put(KIND, {name: changed}, owner=left[0]["erasure"])
            else:
                gone.append(name)
        self._catalogue.remove(KIND, gone)

    def take_secrets(self, source: Catalogue) -> None:
        """Recognise what the tombstones of another store stand for, once they are in this one."""
        known = self._secrets()
        for secret in Tombstones(source)._secrets():
            if secret not in known:
                name = hashlib.sha256(secret).hexdigest()[:16]
                self._catalogue.insert(SECRET_KIND, {name: {"hex": secret.hex()}})

    def _own_secret(self) -> bytes:
        stored = self._catalogue.get(SECRET_KIND, [OWN_SECRET])
        if not stored:
            # Somebody else may be making one at this moment: the first one counts.
            self._catalogue.insert(SECRET_KIND, {OWN_SECRET: {"hex": secrets.token_bytes(32).hex()}})
            stored = self._catalogue.get(SECRET_KIND, [OWN_SECRET])
        return bytes.fromhex(stored[OWN_SECRET]["hex"])

    def _secrets(self) -> list[bytes]:
        return [bytes.fromhex(document["hex"]) for _, document in self._catalogue.scan(SECRET_KIND)]


def joined(held: Document, other: Document) -> Document:
    """A tombstone that belongs to the erasures of both: lifting one of them leaves the others."""
    also = list(held.get("also", []))
    known = {held["erasure"], *(said["erasure"] for said in also)}
    for said in (other, *other.get("also", [])):
        if said["erasure"] not in known:
            also.append({name: said[name] for name in ("erasure", "at", "reason")})
            known.add(said["erasure"])
    return {**held, "also": also} if also else held


def _names(example: Identity, secret: bytes) -> tuple[str, str]:
    return (
        _hmac(secret, ["key", example.dataset, example.example_key]),
        _hmac(secret, ["content", example.content_sha256]),
    )


def _hmac(secret: bytes, what: list[str]) -> str:
    return hmac.digest(secret, json.dumps(what).encode(), "sha256").hex()
