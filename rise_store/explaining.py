"""Why examples rank: what `AttributionStore` says of single scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from typing_extensions import Unpack

from rise_store.asking import Asking, AskOptions
from rise_store.errors import ConfigError, InputError
from rise_store.explained_hits import EncodedQuery, explain_hit
from rise_store.records import Attribution, Example, Explanation, Query
from rise_store.retrieval import Where, query_signatures
from rise_store.retrieval.attribute import attribute_with_ids
from rise_store.retrieval.plan import Question
from rise_store.store import And, Collection, Equals, Filter
from rise_store.store.payload import describe_example

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

DEFAULT_K = 3
DEFAULT_PAIRS = 20
MOST_PAIRS = 10_000
Progress = Callable[[int, int], None]  # is told explanations done and explanations in all


class Explaining(Asking):
    """Explanations: the part of `AttributionStore` that says which tokens a score comes from."""

    def explain(
        self,
        query: Query,
        *,
        example_id: str | None = None,
        dataset: str | None = None,
        k: int | None = None,
        top_pairs: int = DEFAULT_PAIRS,
        where: Where = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        progress: Progress | None = None,
        **options: Unpack[AskOptions],
    ) -> list[Explanation]:
        """Why an example, or each of the first ones of the answer, scores as it does.

        The query and each example are encoded anew, and the score is split exactly into pairs of their tokens.

        Args:
            query: what is asked; `against` counts.
            example_id: the example to explain; without one, the `k` best are explained.
            dataset: of the example, where several datasets have one of this id.
            k: how many of the best examples to explain; by default 3, or all where fewer are stored.
            top_pairs: how many pairs of tokens of either sign to give.
            where: conditions, as for `attribute_all`.
            model: where to load the model from, when it is not where the space says; or an encoder.
            space: fingerprint of the space (its beginning is enough), when the store has several; that of the preset,
                where one is named.
            progress: is told explanations done and explanations in all.
            options: as for `attribute_all`.

        Raises:
            InputError: no such example, several of them, one whose whole text is not stored, or a query of fewer
                than 2 tokens.
            ConfigError: settings that do not fit each other.
            SpaceMismatchError, StoreError, FilterError: as of `attribute_all`.
        """
        if not 0 <= top_pairs <= MOST_PAIRS:
            raise ConfigError(f"top_pairs is {top_pairs}; choose a number of pairs from 0 to {MOST_PAIRS:,}")
        collection = self._collection(space, options.get("preset"))
        if example_id is not None:
            where = [*_several(where), _named(example_id, dataset, k, options)]
            query = query.model_copy(update={"k": None})
        elif dataset is not None:
            raise ConfigError("dataset goes with an example id; to explain the best examples of one, filter by dataset")
        elif k is None:
            k = max(1, min(DEFAULT_K, collection.count()))
        search, loading = self._search(collection, [query], options, k=k, where=where)
        if example_id is not None:  # before the model is loaded, which takes a while
            _require_one(collection, search.questions[0], example_id, dataset)
        encoder = self._encoders.of_space(collection.space, model, loading)
        ((answer, ids),) = attribute_with_ids(search, query_signatures(encoder, [query]))
        hits = answer.results
        if example_id is not None and not hits:
            raise InputError(f"example {example_id[:100]!r} was deleted meanwhile; ask again")
        asked = EncodedQuery.encode(encoder, query)
        texts = _whole_texts(collection, hits, ids)
        found = []
        for done, (hit, text) in enumerate(zip(hits, texts, strict=True)):
            if progress is not None:
                progress(done, len(hits))
            rank = hit.rank if example_id is None else None
            found.append(explain_hit(search, encoder, asked, hit, text, rank, top_pairs))
        if progress is not None:
            progress(len(hits), len(hits))
        return found


def _several(where: Where) -> list[Any]:
    return list(where) if isinstance(where, Sequence) and not isinstance(where, str) else [where]


def _named(example_id: str, dataset: str | None, k: int | None, options: AskOptions) -> Filter:
    """The filter that lets an example through that was named.

    Raises:
        ConfigError: what only a search has was asked for too.
    """
    searching = {name: options.get(name) for name in ("min_score", "approximate", "oversampling", "ef")}
    stated = [name for name, value in searching.items() if value is not None and value is not False]
    if k is not None or stated:
        names = ", ".join((["k"] if k is not None else []) + stated)
        raise ConfigError(f"an example that is named is not searched for: leave out {names}, or the example's id")
    named = Equals("example_id", example_id)
    return named if dataset is None else And((named, Equals("dataset", dataset)))


def _require_one(collection: Collection, question: Question, example_id: str, dataset: str | None) -> None:
    """`InputError` unless there is one example of the name."""
    if not question.candidates:
        of = "" if dataset is None else f" of dataset {dataset[:100]!r}"
        raise InputError(
            f"the space holds no example {example_id[:100]!r}{of} that the filter lets through; rise-store query shows "
            "the ids of examples"
        )
    if question.candidates > 1:
        datasets = ", ".join(sorted(collection.facet("dataset", where=question.filter)))
        raise InputError(f"several datasets have an example {example_id[:100]!r}: {datasets}; say which with --dataset")


def _whole_texts(collection: Collection, hits: Sequence[Attribution], ids: Sequence[UUID]) -> list[str]:
    """The stored texts of hits.

    Raises:
        InputError: a text is not stored, or only its beginning.
    """
    points = collection.retrieve(ids)
    texts = []
    for hit, id in zip(hits, ids, strict=True):
        if id not in points:
            raise InputError(f"example {hit.example_id!r} of dataset {hit.dataset!r} was deleted meanwhile; ask again")
        payload, text = points[id].payload, hit.text
        if text is None or payload["content_sha256"] not in _hashes(text):
            kept = "no text" if text is None else "only the beginning of the text"
            raise InputError(
                f"{describe_example(payload)} cannot be explained: {kept} is stored; ingest it again with "
                "--keep-text full"
            )
        texts.append(text)
    return texts


def _hashes(text: str) -> tuple[str, str]:
    """Content hashes of examples that have this text: as a prompt and completion are joined, and as a text is read."""
    return Example(completion=text).content_sha256, Example(text=text).content_sha256
