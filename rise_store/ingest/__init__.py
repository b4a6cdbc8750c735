"""Corpus -> signatures -> store."""

from rise_store.ingest.arrays import write_signatures
from rise_store.ingest.block import Block, KeepText, RunContext, ingest_block
from rise_store.ingest.ledger import RunLedger
from rise_store.ingest.loop import Progress, ingest_examples
from rise_store.ingest.texts import Encoder

__all__ = [
    "Block",
    "Encoder",
    "KeepText",
    "Progress",
    "RunContext",
    "RunLedger",
    "ingest_block",
    "ingest_examples",
    "write_signatures",
]
