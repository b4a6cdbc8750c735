"""Queries: weights, filters and ranked answers."""

from rise_store.retrieval.attribute import Search, attribute
from rise_store.retrieval.weights import fold_weights, parse_weights
from rise_store.retrieval.where import Where, check_fields, format_where, parse_where

__all__ = [
    "Search",
    "Where",
    "attribute",
    "check_fields",
    "fold_weights",
    "format_where",
    "parse_weights",
    "parse_where",
]
