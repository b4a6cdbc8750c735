"""Queries: metrics, weights, filters, ranked answers, influence by group, and the audit of approximate search."""

from rise_store.retrieval.attribute import attribute
from rise_store.retrieval.groups import check_over, group_field, influence
from rise_store.retrieval.indexes import create_index, list_indexes
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.plan import Search, SearchOptions
from rise_store.retrieval.precondition import Preconditioner
from rise_store.retrieval.presets import ScoringOptions, resolve_scoring
from rise_store.retrieval.recall import measure_recall
from rise_store.retrieval.scan import ScoredPage, scan_scores, score_rows
from rise_store.retrieval.second_moments import SecondMoments
from rise_store.retrieval.weights import parse_weights
from rise_store.retrieval.where import Where, check_fields, format_where, parse_where

__all__ = [
    "Preconditioner",
    "ScoredPage",
    "Scoring",
    "ScoringOptions",
    "Search",
    "SearchOptions",
    "SecondMoments",
    "Where",
    "attribute",
    "check_fields",
    "check_over",
    "create_index",
    "format_where",
    "group_field",
    "influence",
    "list_indexes",
    "measure_recall",
    "parse_weights",
    "parse_where",
    "resolve_scoring",
    "scan_scores",
    "score_rows",
]
