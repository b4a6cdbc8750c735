"""How good the answers are."""

from rise_store.evaluation.metrics import precision

__all__ = ["precision"]
