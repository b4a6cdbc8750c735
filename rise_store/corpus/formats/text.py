"""Plain-text and Markdown files: a file is a document."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rise_store.corpus.byte_source import ByteSource, ChangedError
from rise_store.corpus.encodings import MARK_BYTES, check_encoding, encoding_of
from rise_store.corpus.folders import FoundFile
from rise_store.corpus.lines import MAX_LINE_BYTES
from rise_store.corpus.locations import STDIN, locate, public_name
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError, UnreadableError
from rise_store.records import RowOrigin, SourceManifest

_HEADING = re.compile(r"\s*#[ \t]+(\S[^\r\n]*)")
_MARKDOWN = (".md", ".markdown")
_PIECE = 1 << 16
_BINARY_PROBE = 8192  # bytes in which a binary file shows a null byte


class TextFiles:
    """The documents of a folder, or some of its files. A `Source`.

    A document's `id` is its path within the folder, its `source_uri` the whole path, its `metadata.title` the heading
    that a Markdown file begins with. Files without text are passed over, as blank lines are; a file that cannot be
    read, is binary, is above the limit or has bytes that are no text is a rejected row.
    """

    def __init__(
        self,
        name: str,
        files: Iterable[FoundFile],
        *,
        encoding: str | None = None,
        max_bytes: int = MAX_LINE_BYTES,
        followed: bool = False,
    ) -> None:
        """Takes files as `expand` lists them; `name` is what they are called together.

        A file that cannot be read for the moment ends the reading with `UnreadableError` where it is `followed`, so
        that whoever follows it can try again.
        """
        self._followed = followed
        self.name = name
        self.bytes_read = 0
        self._files = tuple(files)
        self.total_bytes: int | None = sum(file.size for file in self._files)
        self._encoding = check_encoding(encoding)
        self._max_bytes = max_bytes
        self._promised: dict[str, str | None] | None = None  # digests by relative path

    @classmethod
    def at(cls, path: str | os.PathLike[str], *, encoding: str | None = None) -> TextFiles:
        """One file, whose `id` is its path as it was given. Raises `InputError` when there is none."""
        location = locate(path)
        file = FoundFile(location.name.removeprefix("./"), os.fspath(path), location.size or 0)
        return cls(location.name, [file], encoding=encoding)

    def manifest(self) -> SourceManifest:
        """What the files are at this moment; a pass over them.

        Its SHA-256 is that of the sorted lines `sha256  path`, as `sha256sum` writes them; null where one of the files
        is too large to be read for it, see `ByteSource.manifest`.
        """
        if [file.address for file in self._files] == [STDIN]:
            return SourceManifest(uri=self.name, format="text")
        self._promised, size = {}, 0
        for file in self._files:
            try:
                manifest = ByteSource(file.address).manifest("text")
            except InputError:  # a rejected row, when its turn comes
                continue
            self._promised[file.relative] = manifest.sha256
            size += manifest.bytes or 0
        self.total_bytes = size
        sha256 = None
        if None not in self._promised.values():
            listing = sorted(f"{digest}  {path}\n" for path, digest in self._promised.items())
            sha256 = hashlib.sha256("".join(listing).encode()).hexdigest()
        return SourceManifest(uri=self.name, format="text", files=len(self._files), bytes=size, sha256=sha256)

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        self.bytes_read = 0
        changed: InputError | None = None
        for file in self._files:
            name = public_name(file.address)
            location = f"{name}:1"
            try:
                row = self._document(file, location)
            except ChangedError as error:
                changed = changed or error
            except InputError as error:
                if self._followed and isinstance(error, UnreadableError):
                    raise
                reason = str(error).removeprefix(f"{location}: ").removeprefix(f"{name}: ")
                yield RejectedRow(location, f"{location}: {reason}")
            else:
                if row is not None:
                    yield row
        if changed is not None:
            raise changed

    def _document(self, file: FoundFile, location: str) -> RawRow | None:
        source = ByteSource(file.address)
        if self._promised is not None and self._promised.get(file.relative, "") is not None:
            source.expect(self._promised.get(file.relative))
        before, data = self.bytes_read, bytearray()
        try:
            with source.reading(lambda: f"{len(data):,} bytes") as stream:
                while (piece := stream.read(_PIECE)) and len(data) <= self._max_bytes:
                    data += piece
        finally:
            self.bytes_read = before + source.bytes_read
        if len(data) > self._max_bytes:
            raise InputError(f"{location}: the file is longer than {self._max_bytes:,} bytes; split its text")
        encoding = encoding_of(self._encoding, bytes(data[:MARK_BYTES]))
        if len(encoding.newline) == 1 and b"\0" in data[:_BINARY_PROBE]:
            raise InputError(f"{location}: is no text, since it holds null bytes; leave the file out")
        text = encoding.text(data[encoding.mark :], location, "the text")
        if not text.strip():
            return None
        fields: dict[str, Any] = {"text": text}
        if file.address != STDIN:
            fields |= {"id": file.relative, "source_uri": source.name}
        heading = _HEADING.match(text) if file.relative.lower().endswith(_MARKDOWN) else None
        if heading:
            fields["metadata"] = {"title": heading.group(1).strip()}
        return RawRow(fields, RowOrigin(file=source.name, row=1, start=encoding.mark, end=len(data)), location)
