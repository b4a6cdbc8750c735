"""One explanation: both texts encoded anew, the score split, and the record of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from rise_store.records import (
    Attribution,
    ChannelScores,
    ExampleToken,
    ExplainedExample,
    Explanation,
    Query,
    QueryToken,
    TokenPair,
)
from rise_store.retrieval import Search
from rise_store.retrieval.explain import Decomposition, Pairs, decompose
from rise_store.retrieval.text_positions import Array, Positions, contrast_positions, example_positions

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder
    from rise_store.signature.positions import PositionFactors
    from rise_store.signature.tokens import TextToken


@dataclass(frozen=True)
class EncodedText:
    """A text with its tokens, and what its positions add to its signature."""

    text: str
    tokens: list[TextToken]
    positions: Positions

    @classmethod
    def of(
        cls, encoder: SignatureEncoder, text: str, chunks: list[list[int]], factors: Sequence[PositionFactors]
    ) -> EncodedText:
        """A text whose chunks have these factors."""
        from rise_store.signature.tokens import text_tokens

        config = encoder.config
        stride = config.chunk_size - config.chunk_overlap
        firsts = [number * stride for number in range(len(chunks))]
        count = firsts[-1] + len(chunks[-1])  # of a query, tokens beyond the longest are not encoded
        tokens = text_tokens(encoder.tokenizer, text)[:count]
        return cls(text, tokens, example_positions(factors, firsts, count, config))


@dataclass(frozen=True)
class EncodedQuery:
    """A query, and maybe what it is asked against."""

    query: Query
    text: EncodedText
    against: EncodedText | None

    @classmethod
    def encode(cls, encoder: SignatureEncoder, query: Query) -> EncodedQuery:
        """Encode a query. `InputError` for one of fewer than 2 tokens."""
        sides = [query] if query.counterfactual is None else [query, query.counterfactual]
        asked = encoder.query_chunks(sides)
        # In one call, as the search encodes them: a model in bfloat16 rounds otherwise in other batches.
        factors = iter(
            encoder.position_factors(
                [chunk for side in asked for chunk in side.chunks],
                [start for side in asked for start in side.loss_start],
            )
        )
        texts = [
            EncodedText.of(encoder, _content(side), chunks.chunks, list(islice(factors, len(chunks.chunks))))
            for side, chunks in zip(sides, asked, strict=True)
        ]
        return cls(query, texts[0], texts[1] if len(texts) > 1 else None)

    @property
    def positions(self) -> Positions:
        """Those of the query and, behind them, of what it is asked against."""
        if self.against is None:
            return self.text.positions
        return contrast_positions(self.text.positions, self.against.positions)


def explain_hit(
    search: Search,
    encoder: SignatureEncoder,
    asked: EncodedQuery,
    hit: Attribution,
    text: str,
    rank: int | None,
    top_pairs: int,
) -> Explanation:
    """Explain one score.

    Args:
        search: the search whose answer has the hit.
        encoder: of the search's space.
        asked: the query, encoded.
        hit: from the answer.
        text: the hit's whole text.
        rank: of the hit, if that is worth telling.
        top_pairs: how many pairs of tokens of either sign to give.
    """
    (chunks,) = encoder.chunks([text])
    example = EncodedText.of(encoder, text, chunks, encoder.position_factors(chunks))
    scoring, (question,) = search.scoring, search.questions
    query = asked.positions
    parts = decompose(query, example.positions, scoring, search.preconditioner, top_pairs=top_pairs)
    rh, gh = parts.channels
    return Explanation(
        query=asked.query,
        query_text=asked.text.text,
        against_text=None if asked.against is None else asked.against.text,
        example=ExplainedExample(
            example_id=hit.example_id,
            dataset=hit.dataset,
            dataset_version=hit.dataset_version,
            license=hit.license,
            source_uri=hit.source_uri,
            text=text,
            metadata=hit.metadata,
            read_from=hit.read_from,
            vanished_in=hit.vanished_in,
        ),
        rank=rank,
        score=hit.score,
        explained=parts.score,
        rounding=hit.score - parts.score,
        channels=ChannelScores(rh=rh, gh=gh),
        query_tokens=_query_tokens(asked, parts),
        example_tokens=_example_tokens(example, parts),
        positive_pairs=_pairs(parts.positive),
        negative_pairs=_pairs(parts.negative),
        candidates=question.candidates,
        where=question.where,
        metric=scoring.metric,
        weights=scoring.weights,
        lambdas=scoring.lambdas,
        precondition=search.alpha,
        preset=search.preset,
        space=search.collection.space.fingerprint,
        estimator=encoder.config,
        model=encoder.reference,
    )


def _query_tokens(asked: EncodedQuery, parts: Decomposition) -> tuple[QueryToken, ...]:
    sides: list[tuple[Literal["query", "against"], EncodedText]] = [("query", asked.text)]
    if asked.against is not None:
        sides.append(("against", asked.against))
    shown: list[QueryToken] = []
    for part, side in sides:
        first = len(shown)
        shown += [QueryToken(**fields, part=part) for fields in _fields(side, parts.query[first:])]
    return tuple(shown)


def _example_tokens(example: EncodedText, parts: Decomposition) -> tuple[ExampleToken, ...]:
    return tuple(
        ExampleToken(**fields, partners=dict(zip(pairs.query.tolist(), pairs.scores.tolist(), strict=True)))
        for fields, pairs in zip(_fields(example, parts.example), parts.partners, strict=True)
    )


def _fields(side: EncodedText, contributions: Array) -> Iterator[dict[str, Any]]:
    """What `ExplainedToken` holds, token by token."""
    counted = set(side.positions.tokens.tolist())
    for number, (token, (rh, gh)) in enumerate(zip(side.tokens, contributions.tolist(), strict=False)):
        yield {
            "text": token.text,
            "start": token.start,
            "end": token.end,
            "counts": number in counted,
            "score": rh + gh,
            "channels": ChannelScores(rh=rh, gh=gh),
        }


def _pairs(pairs: Pairs) -> tuple[TokenPair, ...]:
    columns = (pairs.example.tolist(), pairs.query.tolist(), pairs.channels.tolist())
    return tuple(
        TokenPair(example_token=example, query_token=query, score=rh + gh, channels=ChannelScores(rh=rh, gh=gh))
        for example, query, (rh, gh) in zip(*columns, strict=True)
    )


def _content(query: Query) -> str:
    """The text whose tokens a query is encoded as."""
    return query.text.strip() if query.text is not None else (query.prompt or "") + (query.completion or "")
