"""How far each file was read, in the store's catalogue: written after the store acknowledged what is in front of it."""

from __future__ import annotations

from collections.abc import Iterable

from rise_store.digests import json_sha256
from rise_store.records import Record
from rise_store.store import Catalogue

_KIND = "position"


class Position(Record):
    """How far a file was read."""

    name: str  # path or address
    source: str  # that it belongs to, as the user gave it
    settings: str  # digest of what shapes its examples: read with others, it is read from the start
    whole: bool = False  # read as a whole, or line by line
    row: int = 0  # rows in front of `offset`, blank lines included
    offset: int = 0  # bytes; of a file that is read whole, its size
    inode: str | None = None
    changed: str = ""  # of a file that is read whole: when it was last changed before it was read
    sample: str = ""  # `sample_digest` at `offset`, of a file that is read line by line


class Positions:
    """The positions of the files of one dataset in one space."""

    def __init__(self, catalogue: Catalogue, dataset: str, space: str) -> None:
        self._catalogue = catalogue
        self._dataset = dataset
        self._space = space

    def load(self, source: str) -> list[Position]:
        """The positions of the files of a source."""
        owner = self._owner(source)
        return [Position.model_validate(document) for _, document in self._catalogue.scan(_KIND, owner=owner)]

    def put(self, positions: Iterable[Position]) -> None:
        """Remember positions, in place of earlier ones of the same names."""
        by_source: dict[str, dict[str, Position]] = {}
        for position in positions:
            by_source.setdefault(position.source, {})[self._key(position.source, position.name)] = position
        for source, found in by_source.items():
            documents = {key: position.model_dump(mode="json") for key, position in found.items()}
            self._catalogue.put(_KIND, documents, owner=self._owner(source))

    def forget(self, positions: Iterable[Position]) -> None:
        """Remove positions."""
        keys = [self._key(position.source, position.name) for position in positions]
        if keys:
            self._catalogue.remove(_KIND, keys)

    def _owner(self, source: str) -> str:
        return f"{self._dataset}/{json_sha256([self._dataset, self._space, source])[:32]}"

    def _key(self, source: str, name: str) -> str:
        return json_sha256([self._dataset, self._space, source, name])
