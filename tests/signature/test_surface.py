"""The names that others may import, and no more."""

from __future__ import annotations

from pathlib import Path

import rise_store.signature


def test_the_public_names_are_these() -> None:
    assert rise_store.signature.__all__ == [
        "CountSketch",
        "EstimatorConfig",
        "LoadedModel",
        "PositionFactors",
        "QueryChunks",
        "SignatureEncoder",
        "Signatures",
        "SketchTables",
        "average_chunks",
        "load_model",
        "load_tokenizer",
        "render_chat",
    ]
    assert all(hasattr(rise_store.signature, name) for name in rise_store.signature.__all__)


def test_the_estimator_knows_no_store() -> None:
    folder = Path(rise_store.signature.__file__).parent
    for module in folder.glob("*.py"):
        imports = [line for line in module.read_text().splitlines() if "import" in line]
        assert not [line for line in imports if "rise_store.store" in line or "qdrant" in line], module.name
