"""Rows that are not stored, on their way through: read, encoded block by block, and let go of again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rise_store.corpus import ExampleReader, RawRow, RejectedRow, SourceOptions, open_examples
from rise_store.errors import InputError, SignatureError
from rise_store.ingest.dead_letters import DeadLetters
from rise_store.ingest.known_signatures import KnownSignature, known_signatures
from rise_store.ingest.texts import encode_texts, tokenize_texts
from rise_store.ingestion import Corpus, open_corpus
from rise_store.records import Example, Reject
from rise_store.retrieval.value import Candidate, CandidateBlock
from rise_store.store import Collection

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

BLOCK_EXAMPLES = 512
BLOCK_BYTES = 64 << 20  # of signatures that a block holds at most
BLOCK_BATCHES = 16  # of the model, by the length of texts
CHARACTERS_PER_TOKEN = 4  # of ordinary prose; only used to size blocks

Notify = Callable[[str], None]
RowProgress = Callable[[int, int | None], None]  # is told of rows done, and of rows in all where that is known


@dataclass(frozen=True)
class ReadRow:
    """An example that was read, and the row as it stood in its source."""

    number: int
    example: Example
    record: Mapping[str, Any]

    def fields(self, tokens: int | None) -> dict[str, Any]:
        """What is known of it, as the payload of a stored example names it."""
        example = self.example
        fields: dict[str, Any] = {
            "example_id": example.key,
            "license": example.license,
            "source_uri": example.source_uri,
            "metadata": example.metadata,
            "text": example.content,
            "content_sha256": example.content_sha256,
            "tokens": tokens,
            "read_from": None if example.origin is None else example.origin.model_dump(exclude_none=True),
        }
        return {name: value for name, value in fields.items() if value is not None}


class CandidateRows:
    """The rows of a corpus, each by itself: nothing is remembered of earlier ones, so two may be the same.

    Rows that cannot be used are left out and counted, and written to a file where there is one.
    """

    def __init__(
        self,
        corpus: Corpus,
        options: SourceOptions,
        encoder: SignatureEncoder,
        *,
        max_rejects: int | None = 0,
        rejects: str | Path | None = None,
        progress: RowProgress | None = None,
    ) -> None:
        """Open a corpus.

        Raises:
            InputError: a source that cannot be opened, or a file for rejected rows that cannot be made.
            ConfigError: options for sources that are not named.
        """
        self.rows = 0
        self.rejected = 0
        self.too_short = 0
        self._last: Any = None  # the row as it stood, of the example that was read last
        if isinstance(corpus, str | Path):
            corpus = [corpus]
        names = _names(corpus)
        if names:
            corpus = open_examples(names, distinct=False, **options)
        if isinstance(corpus, ExampleReader):
            corpus.render_chat = encoder.render_chat
            corpus.on_row = self._remember
            self._source: Iterable[Example | RejectedRow] = corpus
        else:
            self._source = open_corpus(self._remembered(corpus), options)
        self._max_rejects = max_rejects
        self._dead_letters = None if rejects is None else DeadLetters(rejects, "rejects")
        self._progress = progress

    def __iter__(self) -> Iterator[ReadRow]:
        for row in self._source:
            self.rows += 1
            if isinstance(row, RejectedRow):
                self.reject(Reject(reason=row.reason, location=row.location, origin=row.origin, row=row.row))
            else:
                yield ReadRow(self.rows, row, self._last)

    def blocks(self, encoder: SignatureEncoder, collection: Collection | None) -> Iterator[CandidateBlock]:
        """The rows with their signatures; those of texts that a collection has already cost no forward pass."""
        most = max(1, min(BLOCK_EXAMPLES, BLOCK_BYTES // (4 * encoder.dim)))
        characters = BLOCK_BATCHES * encoder.batch_tokens * CHARACTERS_PER_TOKEN
        for rows in _grouped(self, most, characters):
            block = self._encoded(rows, encoder, collection)
            if block.candidates:
                yield block
            self.tell()

    def reject(self, reject: Reject) -> None:
        """Leave a row out.

        Raises:
            InputError: it is one more than may be left out; texts that are merely too short never are.
        """
        if self._dead_letters is not None:
            self._dead_letters.write([reject])
        if reject.kind == "too_short":
            self.too_short += 1
            return
        self.rejected += 1
        if self._max_rejects is not None and self.rejected > self._max_rejects:
            allowed = self._max_rejects
            allowance = f" ({self.rejected} rows rejected, {allowed} allowed)" if allowed else ""
            raise InputError(f"{reject.reason}{allowance}; mend the row, or let bad rows pass with --max-rejects")

    def leave_out(self, row: ReadRow, reason: str, *, too_short: bool) -> None:
        """Leave out a row that was read but has no signature; see `reject`."""
        example = row.example
        self.reject(
            Reject(
                reason=f"{place_of(example)}: {reason}",
                kind="too_short" if too_short else "rejected",
                location=example.location,
                origin=example.origin,
                row=example.model_dump(exclude_defaults=True),
            )
        )

    def tell(self) -> None:
        """Say how many rows were read."""
        if self._progress is not None:
            self._progress(self.rows, None)

    def left_out(self) -> str | None:
        """What was left out, in a line for people; None where nothing was."""
        counts = ((self.too_short, "too short (under 2 tokens)"), (self.rejected, "rejected"))
        parts = [f"{count:,} {name}" for count, name in counts if count]
        file = self._dead_letters
        where = f"; they are in {file.path}" if file is not None and file.written else ""
        return f"left out: {', '.join(parts)}{where}" if parts else None

    def _encoded(self, rows: list[ReadRow], encoder: SignatureEncoder, collection: Collection | None) -> CandidateBlock:
        hashes = [row.example.content_sha256 for row in rows]
        known = {} if collection is None else known_signatures(set(hashes), collection)
        texts: dict[str, int] = {}  # text -> its number
        for row, hash_ in zip(rows, hashes, strict=True):
            if hash_ not in known:
                texts.setdefault(row.example.content, len(texts))
        try:
            encoded = encode_texts(tokenize_texts(list(texts), encoder), encoder)
        except SignatureError as error:
            owner = next(row for row in rows if texts.get(row.example.content) == error.text)
            raise SignatureError(f"{place_of(owner.example)}: {error}") from error
        place = {number: i for i, number in enumerate(encoded.fit)}
        candidates, signatures = [], []
        for row, hash_ in zip(rows, hashes, strict=True):
            same: KnownSignature | None = known.get(hash_)
            if same is not None:
                signature, tokens = same.vector, int(same.measured["tokens"])
            else:
                number = texts[row.example.content]
                if number in encoded.unfit:
                    unfit = encoded.unfit[number]
                    self.leave_out(row, unfit.reason, too_short=unfit.too_short)
                    continue
                signature = encoded.signatures[place[number]]
                tokens = int(encoded.token_counts[place[number]])
            candidates.append(Candidate(row.number, row.fields(tokens), row.record))
            signatures.append(signature)
        dim = (len(signatures), encoder.dim)
        return CandidateBlock(candidates, np.stack(signatures) if signatures else np.zeros(dim, dtype=np.float32))

    def _remember(self, row: RawRow | RejectedRow) -> None:
        self._last = row.fields if isinstance(row, RawRow) else None

    def _remembered(self, corpus: Iterable[Any]) -> Iterator[Any]:
        for row in corpus:
            self._last = row.model_dump(exclude_defaults=True) if isinstance(row, Example) else row
            yield row


def _names(corpus: Iterable[Any]) -> list[str | Path]:
    """The names of sources in a list of nothing else; none where it holds anything else."""
    listed = list(corpus) if isinstance(corpus, list | tuple) else []
    return listed if all(isinstance(item, str | Path) for item in listed) else []


def place_of(example: Example) -> str:
    """Where an example was read, for messages."""
    return example.location or f"example {example.key}"


def _grouped(rows: Iterable[ReadRow], most: int, characters: int) -> Iterator[list[ReadRow]]:
    group: list[ReadRow] = []
    length = 0
    for row in rows:
        group.append(row)
        length += len(row.example.content)
        if len(group) >= most or length >= characters:
            yield group
            group, length = [], 0
    if group:
        yield group


def whole_text(payload: Mapping[str, Any]) -> str | None:
    """The stored text of an example, unless the store has only a part of it, or none."""
    text = payload.get("text")
    # As a completion, which keeps its ends: the stored text is what was encoded, stripped already where it had to be.
    if text and Example(completion=text).content_sha256 == payload.get("content_sha256"):
        return str(text)
    return None
