"""The typed records that the library takes and returns; `schemas/` is generated from them."""

from rise_store.records.base import Metadata, Record, validated
from rise_store.records.demo import DemoAnswer, DemoReport
from rise_store.records.examples import Dataset, Example
from rise_store.records.ingestion import IngestReport, IngestTotals, Receipt, SignatureFile
from rise_store.records.queries import Attribution, AttributionResult, ChannelScores, Query, Weights
from rise_store.records.snapshots import SnapshotFile, SnapshotManifest, SnapshotReport
from rise_store.records.spaces import (
    ChannelNorms,
    EstimatorConfig,
    ModelReference,
    Space,
    SpaceInfo,
    Storage,
    StoreInfo,
)
from rise_store.records.verification import VerifyCheck, VerifyProblem, VerifyReport

__all__ = [
    "Attribution",
    "AttributionResult",
    "ChannelNorms",
    "ChannelScores",
    "Dataset",
    "DemoAnswer",
    "DemoReport",
    "EstimatorConfig",
    "Example",
    "IngestReport",
    "IngestTotals",
    "Metadata",
    "ModelReference",
    "Query",
    "Receipt",
    "Record",
    "SignatureFile",
    "SnapshotFile",
    "SnapshotManifest",
    "SnapshotReport",
    "Space",
    "SpaceInfo",
    "Storage",
    "StoreInfo",
    "VerifyCheck",
    "VerifyProblem",
    "VerifyReport",
    "Weights",
    "validated",
]
