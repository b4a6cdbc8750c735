"""The typed records that the library takes and returns; `schemas/` is generated from them."""

from rise_store.records.base import Metadata, Record, validated
from rise_store.records.demo import DemoAnswer, DemoReport
from rise_store.records.examples import Dataset, Example
from rise_store.records.ingestion import IngestReport, IngestTotals, Receipt, SignatureFile
from rise_store.records.lifecycle import (
    AnnotateReport,
    CompactedSpace,
    CompactReport,
    DeleteReport,
    ExampleSummary,
    ExportReport,
    ImportReport,
    MigratedSpace,
    MigrationReport,
)
from rise_store.records.queries import Attribution, AttributionResult, ChannelScores, Query, Weights
from rise_store.records.spaces import (
    ChannelNorms,
    EstimatorConfig,
    ModelReference,
    Space,
    SpaceInfo,
    Storage,
    StoreInfo,
)

__all__ = [
    "AnnotateReport",
    "Attribution",
    "AttributionResult",
    "ChannelNorms",
    "ChannelScores",
    "CompactReport",
    "CompactedSpace",
    "Dataset",
    "DeleteReport",
    "DemoAnswer",
    "DemoReport",
    "EstimatorConfig",
    "Example",
    "ExampleSummary",
    "ExportReport",
    "ImportReport",
    "IngestReport",
    "IngestTotals",
    "Metadata",
    "MigratedSpace",
    "MigrationReport",
    "ModelReference",
    "Query",
    "Receipt",
    "Record",
    "SignatureFile",
    "Space",
    "SpaceInfo",
    "Storage",
    "StoreInfo",
    "Weights",
    "validated",
]
