"""What `rise_store` exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import rise_store

ROOT = Path(rise_store.__file__).parent.parent


def test_exported_names() -> None:
    assert rise_store.__all__ == [
        "AnnotateReport",
        "ApproximateSearch",
        "Attribution",
        "AttributionGroups",
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
        "FieldIndex",
        "FilterError",
        "ImportReport",
        "InfluenceShare",
        "IngestReport",
        "InputError",
        "Interrupted",
        "Lambdas",
        "MigrationReport",
        "ModelError",
        "Preset",
        "Preview",
        "Query",
        "QuerySet",
        "RecallMeasurement",
        "RecallReport",
        "RiseStoreError",
        "SignatureError",
        "SnapshotReport",
        "Space",
        "SpaceInfo",
        "SpaceMismatchError",
        "Stability",
        "StoreError",
        "StoreFullError",
        "StoreInUseError",
        "StoreInfo",
        "StoreUnreachableError",
        "UnreadableError",
        "VerifyReport",
        "Weights",
        "WorkerError",
        "__version__",
        "preview_corpus",
    ]
    assert all(hasattr(rise_store, name) for name in rise_store.__all__)


def test_every_error_is_a_rise_store_error_with_an_exit_code() -> None:
    errors = [getattr(rise_store, name) for name in rise_store.__all__ if name.endswith("Error")]
    assert len(errors) == 13
    for error in (*errors, rise_store.Interrupted):
        assert issubclass(error, rise_store.RiseStoreError)
        assert error.exit_code == 2


def test_public_names_are_documented() -> None:
    undocumented = [
        name for name in rise_store.__all__ if name != "__version__" and not getattr(rise_store, name).__doc__
    ]
    assert undocumented == []


@pytest.mark.parametrize(
    "doing",
    [
        "import rise_store",
        "import rise_store.cli",
        "import sys; sys.argv[1:] = ['--help']; from rise_store.cli import main; main()",
        "import sys; sys.argv[1:] = ['ingest', '--help']; from rise_store.cli import main; main()",
        "import rise_store; rise_store.AttributionStore.open(sys.argv[1]).info()",
    ],
)
def test_torch_is_not_imported_before_a_model_is_needed(doing: str, tmp_path: Path) -> None:
    script = f"""
        import atexit, sys
        atexit.register(lambda: print("loaded:", *sorted({{"torch", "transformers", "accelerate"}} & set(sys.modules))))
        {doing}
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    assert run.stdout.splitlines()[-1] == "loaded:"
