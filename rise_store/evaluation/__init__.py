"""How good the answers are."""

from rise_store.evaluation.bootstrap import mean_interval
from rise_store.evaluation.metrics import precision
from rise_store.evaluation.protocol import DEFAULT_KS, compare, evaluate, measure

__all__ = ["DEFAULT_KS", "compare", "evaluate", "mean_interval", "measure", "precision"]
