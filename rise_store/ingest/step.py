"""One block of rows into the store: planned, encoded, stored. What schedules blocks is elsewhere."""

from __future__ import annotations

from rise_store.ingest.block import Block, RunContext
from rise_store.ingest.plan import PlannedBlock, plan_block
from rise_store.ingest.texts import EncodedTexts, Encoder, TokenProgress, encode_texts, tokenize_texts
from rise_store.ingest.write import store_block
from rise_store.records import Receipt
from rise_store.store import Collection


def ingest_block(
    block: Block,
    run: RunContext,
    encoder: Encoder,
    collection: Collection,
    *,
    progress: TokenProgress | None = None,
) -> Receipt:
    """Store a block of rows; what is stored already costs no forward pass.

    Idempotent: a point's id follows from space, dataset and example key, so a block may be repeated after a crash.
    Returns once the store has acknowledged every example that the receipt counts as stored.

    Args:
        block: the rows, with their position in the run.
        run: what the blocks of the run share.
        encoder: computes the signatures; of the collection's space.
        collection: where they go.
        progress: is told how many tokens were just encoded.

    Raises:
        StoreError, SignatureError: a part of the block may be stored; repeating it is safe.
    """
    planned = plan_block(block, run, collection)
    encoded = encode_planned(planned, encoder, progress)
    return store_block(planned, encoded, run, collection)


def encode_planned(planned: PlannedBlock, encoder: Encoder, progress: TokenProgress | None = None) -> EncodedTexts:
    """Signatures of the texts of a planned block.

    Raises:
        SignatureError: one is not finite; names the example.
    """
    return encode_texts(tokenize_texts(planned.texts, encoder), encoder, progress)
