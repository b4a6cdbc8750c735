"""Corpus -> signatures -> store."""

from rise_store.ingest.arrays import write_signatures
from rise_store.ingest.block import KeepText, Run, ingest_block
from rise_store.ingest.loop import Progress, ingest_examples

__all__ = ["KeepText", "Progress", "Run", "ingest_block", "ingest_examples", "write_signatures"]
