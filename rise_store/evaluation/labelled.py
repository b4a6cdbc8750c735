"""JSON Lines files of labelled queries."""

from __future__ import annotations

import os
from typing import Any

from rise_store.corpus import ExampleReader
from rise_store.corpus.queries import query_fields
from rise_store.corpus.sources import RejectedRow
from rise_store.errors import InputError, RiseStoreError
from rise_store.records import Example, LabelledQuery, validated
from rise_store.retrieval import parse_where

_WANTED = "give a filter as for --where, or a list of example ids"


def read_labelled(path: str | os.PathLike[str], *, label_field: str | None = None) -> list[LabelledQuery]:
    """The labelled queries of a JSON Lines file, one a row, in order; `-` is standard input.

    A row is a query as for `rise-store query --file` with `relevant`: a filter (text or an object), or a list of ids.
    With `label_field`, a row with a `label` and without `relevant` takes for relevant what is stored with the same
    value in that field, such as metadata.label.

    Raises:
        InputError: a row that is no labelled query, with its file and line, or a file without rows, or one where
            no query uses the label field that is given.
    """
    queries, labels_used = [], False
    for row in ExampleReader([path], distinct=False):
        if isinstance(row, RejectedRow):
            raise InputError(row.reason)
        fields = query_fields(row)
        try:
            relevant = _relevant(row, label_field)
            labels_used |= row.metadata.get("relevant") is None
            labels = {"relevant": relevant, "location": row.location}
            queries.append(validated(LabelledQuery, "query", fields | labels, InputError))
            if not isinstance(relevant, tuple):
                parse_where(relevant)
        except RiseStoreError as error:
            raise InputError(f"{row.location}: {error}") from error
    if not queries:
        raise InputError(f"{path} holds no queries; give one JSON object a line")
    if label_field is not None and not labels_used:
        raise InputError(
            f'{path}: every query has "relevant" of its own, so the label field {label_field} changes nothing; leave '
            'it out, or give "label" instead of "relevant"'
        )
    return queries


def _relevant(row: Example, label_field: str | None) -> Any:
    relevant = row.metadata.get("relevant")
    if relevant is None and label_field is not None:
        label = row.metadata.get("label")
        if isinstance(label, bool | int | str):
            return {"field": label_field, "equals": label}
        raise InputError(
            f'"label" is {"missing" if label is None else "no string, integer or boolean"}; give the value that '
            f"{label_field} has where a stored example is relevant"
        )
    if relevant is None:
        hint = '; for what is stored with the query\'s own "label", name a field with --label-field'
        raise InputError(f'"relevant" is missing; {_WANTED}{hint if "label" in row.metadata else ""}')
    if isinstance(relevant, list):
        if not relevant or not all(isinstance(id_, int | str) and not isinstance(id_, bool) for id_ in relevant):
            raise InputError(f'"relevant" is not a list of one or more ids; {_WANTED}')
        return tuple(str(id_) for id_ in relevant)
    if not isinstance(relevant, str | dict):
        raise InputError(f'"relevant" is neither text, an object nor a list; {_WANTED}')
    return relevant
