"""JSON Schemas of the records that leave the program."""

from __future__ import annotations

import re
from typing import Any

from rise_store.records import (
    AnnotateReport,
    Attribution,
    AttributionGroups,
    AttributionResult,
    CalibrationReport,
    CompactReport,
    Dataset,
    DeleteReport,
    DemoReport,
    EstimatorConfig,
    Evaluation,
    Example,
    ExportReport,
    FieldIndex,
    ImportReport,
    IngestReport,
    LabelledQuery,
    MigrationReport,
    Preset,
    Preview,
    Query,
    QuerySet,
    RecallReport,
    Receipt,
    Record,
    RegisteredDataset,
    Reject,
    Run,
    RunCheck,
    SignatureFile,
    SnapshotManifest,
    SnapshotReport,
    Space,
    StoreEvaluation,
    StoreInfo,
    TaskReport,
    TombstoneReport,
    VerifyReport,
    WatchStatus,
)

PUBLISHED: tuple[type[Record], ...] = (
    AnnotateReport,
    Attribution,
    AttributionGroups,
    AttributionResult,
    CalibrationReport,
    CompactReport,
    Dataset,
    DeleteReport,
    DemoReport,
    EstimatorConfig,
    Evaluation,
    Example,
    ExportReport,
    FieldIndex,
    ImportReport,
    IngestReport,
    LabelledQuery,
    MigrationReport,
    Preset,
    Preview,
    Query,
    QuerySet,
    RecallReport,
    Receipt,
    RegisteredDataset,
    Reject,
    Run,
    RunCheck,
    SignatureFile,
    SnapshotManifest,
    SnapshotReport,
    Space,
    StoreEvaluation,
    StoreInfo,
    TaskReport,
    TombstoneReport,
    VerifyReport,
    WatchStatus,
)


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas (2020-12) of all published records, by name: `attribution-result`, `dataset` ..."""
    schemas = {}
    for record in PUBLISHED:
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", record.__name__).lower()
        schema = record.model_json_schema(mode="serialization")
        schemas[name] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:rise-store:schema:{name}:1",
            **schema,
        }
    return schemas
