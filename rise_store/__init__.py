"""A training-data attribution store for large language models.

Which training examples most influenced a model output? `AttributionStore` keeps a signature of every example
(RISE, arXiv 2604.16197: forward passes only) and answers by an exact search.
"""

from rise_store.attribution_store import AttributionStore
from rise_store.errors import (
    ConfigError,
    FilterError,
    InputError,
    Interrupted,
    ModelError,
    RiseStoreError,
    SignatureError,
    SpaceMismatchError,
    StoreError,
    StoreFullError,
    StoreInUseError,
)
from rise_store.records import (
    AnnotateReport,
    Attribution,
    AttributionResult,
    ChannelScores,
    CompactReport,
    Dataset,
    DeleteReport,
    EstimatorConfig,
    Example,
    ExportReport,
    ImportReport,
    IngestReport,
    MigrationReport,
    Query,
    Space,
    SpaceInfo,
    StoreInfo,
    Weights,
)
from rise_store.version import __version__

__all__ = [
    "AnnotateReport",
    "Attribution",
    "AttributionResult",
    "AttributionStore",
    "ChannelScores",
    "CompactReport",
    "ConfigError",
    "Dataset",
    "DeleteReport",
    "EstimatorConfig",
    "Example",
    "ExportReport",
    "FilterError",
    "ImportReport",
    "IngestReport",
    "InputError",
    "Interrupted",
    "MigrationReport",
    "ModelError",
    "Query",
    "RiseStoreError",
    "SignatureError",
    "Space",
    "SpaceInfo",
    "SpaceMismatchError",
    "StoreError",
    "StoreFullError",
    "StoreInUseError",
    "StoreInfo",
    "Weights",
    "__version__",
]
