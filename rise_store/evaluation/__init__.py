"""How good the answers are."""

from rise_store.evaluation.bootstrap import mean_interval
from rise_store.evaluation.labelled import read_labelled
from rise_store.evaluation.metrics import precision
from rise_store.evaluation.protocol import DEFAULT_KS, Target, compare, evaluate, measure
from rise_store.evaluation.score_file import ScoreFile, read_scores, require_same_rows

__all__ = [
    "DEFAULT_KS",
    "ScoreFile",
    "Target",
    "compare",
    "evaluate",
    "mean_interval",
    "measure",
    "precision",
    "read_labelled",
    "read_scores",
    "require_same_rows",
]
