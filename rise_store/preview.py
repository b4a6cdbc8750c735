"""How a corpus would be read, tokenized and chunked, before a model is loaded or a store made."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from rise_store.corpus import ExampleReader, RawRow, RejectedRow, SourceOptions, open_examples
from rise_store.corpus.field_paths import join_path, leads_to
from rise_store.encoders import choose_space
from rise_store.errors import ConfigError, InputError, ModelError
from rise_store.records import EstimatorConfig, Example, Preview, PreviewField, PreviewRow, Reject
from rise_store.store import open_store

DEFAULT_ROWS, DEFAULT_SHOWN = 1000, 5

_SHOWN_CHARACTERS = 200
_SHOWN_FIELDS = 200
_SHOWN_REJECTS = 20


class PreviewOptions(SourceOptions, total=False):
    """How sources are read, and how the tokenizer is loaded."""

    revision: str | None
    trust_remote_code: bool


def preview_corpus(
    corpus: str | Path | Sequence[str | Path] | ExampleReader,
    *,
    model: str | Path | None = None,
    store: str | Path | None = None,
    space: str | None = None,
    config: EstimatorConfig | None = None,
    rows: int = DEFAULT_ROWS,
    shown: int = DEFAULT_SHOWN,
    **options: Unpack[PreviewOptions],
) -> Preview:
    """How the first rows of a corpus would be read, and what would be rejected. Nothing is stored.

    Args:
        corpus: sources as `AttributionStore.ingest` takes them.
        model: hub name, local folder or GGUF file whose tokenizer counts tokens and chunks; its weights stay unread.
        store: takes model and settings from a store's space.
        space: fingerprint of the space (its beginning is enough), when the store has several.
        config: estimator settings; by default those of the store's space, else the published ones.
        rows: how many rows to look at.
        shown: how many of them to describe one by one.
        options: format, map ...: see `SourceOptions`; revision, trust_remote_code of the tokenizer.

    Raises:
        InputError: not one row can be read: a source that cannot be opened, or a mapping that does not fit.
        ModelError, StoreError: the tokenizer or the store cannot be used.
    """
    if rows < 1 or shown < 0:
        raise ConfigError("a preview looks at 1 row or more, and shows 0 or more of them")
    reading = {name: value for name, value in options.items() if name in SourceOptions.__annotations__}
    loading = {name: value for name, value in options.items() if name not in reading}
    if isinstance(corpus, ExampleReader):
        reader = corpus
    else:
        reader = open_examples([corpus] if isinstance(corpus, str | os.PathLike) else corpus, **reading)  # type: ignore[arg-type]
    return _Look(reader, _tokens(model, store, space, config, loading), rows, shown).preview()


@dataclass(frozen=True)
class _Tokens:
    """The tokenizer of a model, and how its tokens are chunked."""

    tokenizer: Any
    model: str
    config: EstimatorConfig

    def count(self, text: str) -> tuple[int, int]:
        """Tokens that would be encoded, and chunks; as `SignatureEncoder.chunks`."""
        from rise_store.signature.windows import chunk_windows, covered_tokens

        chunks = chunk_windows(self.tokenizer(text, verbose=False)["input_ids"], self.config)
        return covered_tokens(chunks, self.config), len(chunks)


class _Enough(Exception):
    """As many rows were read as were asked for."""


@dataclass
class _Look:
    """One preview in the making."""

    reader: ExampleReader
    tokens: _Tokens | None
    rows: int
    shown: int
    _seen: int = 0
    _fields: Counter[str] = field(default_factory=Counter)
    _examples: list[PreviewRow] = field(default_factory=list)
    _rejects: list[Reject] = field(default_factory=list)
    _totals: Counter[str] = field(default_factory=Counter)
    _missing: set[tuple[str, ...]] = field(default_factory=set)

    def preview(self) -> Preview:
        self._missing = set(self.reader.mapping.sources)
        self.reader.on_row = self._count
        self.reader.render_chat = partial(_render, self.tokens)
        complete, stopped = False, None
        try:
            for row in self.reader:
                self._add(row)
            complete = True
        except _Enough:
            pass
        except InputError as error:
            if not self._totals["usable"]:
                raise
            stopped = str(error)
        counted = self.tokens is not None
        return Preview(
            sources=self.reader.names,
            model=self.tokens.model if self.tokens else None,
            rows=self._seen,
            complete=complete,
            usable=self._totals["usable"],
            rejected=self._totals["rejected"],
            too_short=self._totals["too_short"],
            duplicates=self.reader.duplicates,
            characters=self._totals["characters"],
            tokens=self._totals["tokens"] if counted else None,
            chunks=self._totals["chunks"] if counted else None,
            stopped=stopped,
            fields=tuple(
                PreviewField(name=name, rows=count, use=self.reader.mapping.use(name))
                for name, count in self._fields.items()
            ),
            missing=tuple(sorted(map(join_path, self._missing))),
            examples=tuple(self._examples),
            rejects=tuple(self._rejects),
        )

    def _count(self, row: RawRow | RejectedRow) -> None:
        if self._seen == self.rows:
            raise _Enough
        self._seen += 1
        if isinstance(row, RawRow) and isinstance(row.fields, Mapping):
            names = [str(name) for name in row.fields]
            self._missing = {path for path in self._missing if not leads_to(row.fields, path)}
            self._fields.update(name for name in names if name in self._fields or len(self._fields) < _SHOWN_FIELDS)

    def _add(self, row: Example | RejectedRow) -> None:
        if isinstance(row, RejectedRow):
            self._reject(Reject(reason=row.reason, location=row.location, origin=row.origin, row=row.row))
            return
        text = row.content
        tokens, chunks = self.tokens.count(text) if self.tokens else (None, None)
        if chunks == 0:
            self._totals["too_short"] += 1
            reason = f"{row.location}: fewer than 2 tokens"
            self._reject(Reject(reason=reason, kind="too_short", location=row.location, origin=row.origin))
            return
        self._totals.update(usable=1, characters=len(text), tokens=tokens or 0, chunks=chunks or 0)
        if len(self._examples) < self.shown:
            self._examples.append(
                PreviewRow(
                    location=row.location,
                    key=row.key,
                    license=row.license,
                    source_uri=row.source_uri,
                    metadata=tuple(row.metadata),
                    text=text[:_SHOWN_CHARACTERS],
                    characters=len(text),
                    tokens=tokens,
                    chunks=chunks,
                )
            )

    def _reject(self, reject: Reject) -> None:
        self._totals["rejected"] += 1
        if len(self._examples) < self.shown:
            self._examples.append(PreviewRow(location=reject.location, rejected=reject.reason))
        elif len(self._rejects) < _SHOWN_REJECTS:
            self._rejects.append(reject)


def _tokens(
    model: str | Path | None,
    store: str | Path | None,
    space: str | None,
    config: EstimatorConfig | None,
    loading: dict[str, Any],
) -> _Tokens | None:
    if store is not None:
        with open_store(str(store), create=False) as backend:
            chosen = choose_space(backend, space)
        config = config or chosen.estimator
        if model is None:
            model = chosen.model.name
            loading = loading | {"revision": loading.get("revision") or chosen.model.revision}
    if model is None:
        return None
    from rise_store.signature.loading import load_tokenizer

    tokenizer = load_tokenizer(model, **loading)
    if tokenizer is None:
        raise ModelError(f"model {model} came without a tokenizer; leave --model out")
    return _Tokens(tokenizer, str(model), config or EstimatorConfig())


def _render(tokens: _Tokens | None, messages: list[dict[str, Any]], template: str | None) -> str:
    if tokens is None:
        raise InputError("messages become a text through the chat template of a model; name it with --model")
    from rise_store.signature.chat import render_chat

    return render_chat(tokens.tokenizer, tokens.model, messages, template)
