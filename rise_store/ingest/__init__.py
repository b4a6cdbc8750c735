"""Corpus -> signatures -> store."""

from rise_store.ingest.arrays import write_signatures
from rise_store.ingest.block import Block, KeepText, RunContext
from rise_store.ingest.dead_letters import DeadLetters
from rise_store.ingest.encoding import EncodedBlock, Encoding, InProcess, TokenizedBlock
from rise_store.ingest.patience import PATIENCE_S, Notify, Patience
from rise_store.ingest.ray.cluster import RayCluster
from rise_store.ingest.runs.ledger import RunLedger
from rise_store.ingest.schedule import Progress, ingest_examples
from rise_store.ingest.step import ingest_block
from rise_store.ingest.texts import Encoder
from rise_store.ingest.workers.placement import Placement
from rise_store.ingest.workers.pool import WorkerPool

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
    "Placement",
    "Progress",
    "RayCluster",
    "RunContext",
    "RunLedger",
    "TokenizedBlock",
    "WorkerPool",
    "ingest_block",
    "ingest_examples",
    "write_signatures",
]
