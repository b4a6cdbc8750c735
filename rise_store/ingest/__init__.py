"""Corpus -> signatures -> store."""

from rise_store.ingest.arrays import write_signatures
from rise_store.ingest.block import Block, KeepText, RunContext, ingest_block
from rise_store.ingest.dead_letters import DeadLetters
from rise_store.ingest.encoding import EncodedBlock, Encoding, InProcess, TokenizedBlock
from rise_store.ingest.ledger import RunLedger
from rise_store.ingest.patience import PATIENCE_S, Notify, Patience
from rise_store.ingest.schedule import Progress, ingest_examples
from rise_store.ingest.texts import Encoder

__all__ = [
    "PATIENCE_S",
    "Block",
    "DeadLetters",
    "EncodedBlock",
    "Encoder",
    "Encoding",
    "InProcess",
    "KeepText",
    "Notify",
    "Patience",
    "Progress",
    "RunContext",
    "RunLedger",
    "TokenizedBlock",
    "ingest_block",
    "ingest_examples",
    "write_signatures",
]
