"""The typed records that the library takes and returns; `schemas/` is generated from them."""

from rise_store.records.base import Metadata, Record, validated
from rise_store.records.calibration import CalibrationFold, CalibrationReport, Settings
from rise_store.records.datasets import CollectionPeriod, Dataset, RegisteredDataset
from rise_store.records.demo import DemoAnswer, DemoReport
from rise_store.records.evaluation import Difference, Evaluation, Measure, StoreEvaluation
from rise_store.records.examples import Example, RowOrigin
from rise_store.records.groups import AttributionGroups, InfluenceShare
from rise_store.records.indexes import FieldIndex
from rise_store.records.ingestion import (
    IngestReport,
    IngestTotals,
    Receipt,
    Reject,
    Run,
    RunCheck,
    RunState,
    SignatureFile,
    SourceManifest,
)
from rise_store.records.labelled import LabelledQuery
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
from rise_store.records.presets import Preset
from rise_store.records.previews import Preview, PreviewField, PreviewRow
from rise_store.records.queries import (
    ApproximateSearch,
    Attribution,
    AttributionResult,
    ChannelScores,
    Fusion,
    Lambdas,
    Metric,
    Query,
    QuerySet,
    Weights,
)
from rise_store.records.recall import RecallMeasurement, RecallReport
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
from rise_store.records.tasks import TaskDataSummary, TaskReport, TaskResult, TaskSetting
from rise_store.records.tombstones import TombstoneReport, TombstoneSet
from rise_store.records.verification import VerifyCheck, VerifyProblem, VerifyReport
from rise_store.records.watching import WatchedFile, WatchLag, WatchState, WatchStatus

__all__ = [
    "AnnotateReport",
    "ApproximateSearch",
    "Attribution",
    "AttributionGroups",
    "AttributionResult",
    "CalibrationFold",
    "CalibrationReport",
    "ChannelNorms",
    "ChannelScores",
    "CollectionPeriod",
    "CompactReport",
    "CompactedSpace",
    "Dataset",
    "DeleteReport",
    "DemoAnswer",
    "DemoReport",
    "Difference",
    "EstimatorConfig",
    "Evaluation",
    "Example",
    "ExampleSummary",
    "ExportReport",
    "FieldIndex",
    "Fusion",
    "ImportReport",
    "InfluenceShare",
    "IngestReport",
    "IngestTotals",
    "LabelledQuery",
    "Lambdas",
    "Measure",
    "Metadata",
    "Metric",
    "MigratedSpace",
    "MigrationReport",
    "ModelReference",
    "Preset",
    "Preview",
    "PreviewField",
    "PreviewRow",
    "Query",
    "QuerySet",
    "RecallMeasurement",
    "RecallReport",
    "Receipt",
    "Record",
    "RegisteredDataset",
    "Reject",
    "RowOrigin",
    "Run",
    "RunCheck",
    "RunState",
    "Settings",
    "SignatureFile",
    "SnapshotFile",
    "SnapshotManifest",
    "SnapshotReport",
    "SourceManifest",
    "Space",
    "SpaceInfo",
    "Storage",
    "StoreEvaluation",
    "StoreInfo",
    "TaskDataSummary",
    "TaskReport",
    "TaskResult",
    "TaskSetting",
    "TombstoneReport",
    "TombstoneSet",
    "VerifyCheck",
    "VerifyProblem",
    "VerifyReport",
    "WatchLag",
    "WatchState",
    "WatchStatus",
    "WatchedFile",
    "Weights",
    "validated",
]
