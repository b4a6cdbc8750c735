"""What was erased may not come back: tombstones, which disclose nothing about what they stand for.

A tombstone is a document of the catalogue whose key is an HMAC under a secret of the store: of a dataset with an
example key, and of a content hash.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rise_store.store.backend import Catalogue, Document

_KIND = "tombstone"


class Identity(NamedTuple):
    """What a tombstone recognises an example by."""

    dataset: str
    example_key: str
    content_sha256: str


class Tombstones:
    """The tombstones in a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._secret: bytes | None = None

    def add(self, examples: Iterable[Identity], fields: Document) -> None:
        """Refuse these examples from now on, by dataset and key as well as by content; `fields` say when and why."""
        self._catalogue.put(_KIND, {key: fields for example in examples for key in self._keys(example)})

    def refused(self, examples: Sequence[Identity]) -> list[bool]:
        """Which of the examples may not be stored."""
        if not examples or not self._catalogue.count(_KIND):
            return [False] * len(examples)
        keys = [self._keys(example) for example in examples]
        found = self._catalogue.get(_KIND, [key for pair in keys for key in pair])
        return [any(key in found for key in pair) for pair in keys]

    def _keys(self, example: Identity) -> tuple[str, str]:
        return (
            self._hmac(["key", example.dataset, example.example_key]),
            self._hmac(["content", example.content_sha256]),
        )

    def _hmac(self, what: list[str]) -> str:
        if self._secret is None:
            self._secret = self._read_secret()
        return hmac.digest(self._secret, json.dumps(what).encode(), "sha256").hex()

    def _read_secret(self) -> bytes:
        stored = self._catalogue.get("secret", ["tombstones"])
        if not stored:
            self._catalogue.put("secret", {"tombstones": {"hex": secrets.token_bytes(32).hex()}})
            stored = self._catalogue.get("secret", ["tombstones"])
        return bytes.fromhex(stored["tombstones"]["hex"])
