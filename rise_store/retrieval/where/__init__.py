"""Filters as users write them, in a small language or as JSON, and the filters of the store.

    license in (MIT, CC-BY-4.0) and tokens >= 50 and not dataset = "forum"
    {"and": [{"field": "tokens", "gte": 50}, {"not": {"field": "dataset", "equals": "forum"}}]}

`grammar` reads the language, `json_form` JSON, `language` writes both; `docs/filters.md` describes them to users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rise_store.errors import FilterError
from rise_store.retrieval.where.fields import check_fields
from rise_store.retrieval.where.grammar import parse_language
from rise_store.retrieval.where.json_form import from_json, parse_json
from rise_store.retrieval.where.language import format_where
from rise_store.store import And, Filter

__all__ = ["Where", "check_fields", "format_where", "parse_where"]

Where = str | Mapping[str, Any] | Filter | Sequence[str | Mapping[str, Any] | Filter]
"""A condition in the language, as JSON (text or a dict) or as a filter of the store; or several, all of which hold."""


def parse_where(conditions: Where = ()) -> Filter | None:
    """The filter that holds where all conditions do; None without conditions.

    Raises:
        FilterError: a condition that cannot be read; it says at which column, or where in the JSON, and what was
            expected.
    """
    if isinstance(conditions, str) or not isinstance(conditions, Sequence):
        return _parse(conditions)
    parts = tuple(_parse(condition) for condition in conditions)
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(parts)


def _parse(condition: object) -> Filter:
    if isinstance(condition, str):
        return parse_json(condition) if condition.lstrip().startswith("{") else parse_language(condition)
    if isinstance(condition, Mapping):
        return from_json(condition)
    if isinstance(condition, Filter):
        return condition
    raise FilterError(f"{condition!r} is not a filter: give text such as 'license = MIT', a dict or a filter")
