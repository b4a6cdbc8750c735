"""The estimator: tokens -> signatures. Knows torch; knows no store and no files."""

from rise_store.records import EstimatorConfig
from rise_store.signature.chat import render_chat
from rise_store.signature.encoder import QueryChunks, SignatureEncoder, Signatures, average_chunks
from rise_store.signature.loading import LoadedModel, load_model, load_tokenizer
from rise_store.signature.positions import PositionFactors
from rise_store.signature.sketch import CountSketch, SketchTables

__all__ = [
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
