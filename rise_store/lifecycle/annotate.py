"""Change payload fields of stored examples without computing anything anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any
from uuid import UUID

import orjson

from rise_store.digests import canonical_json
from rise_store.errors import ConfigError, InputError
from rise_store.lifecycle.pages import in_pages
from rise_store.records import AnnotateReport
from rise_store.store import OWN_FIELDS, Collection, Filter, Payload, describe_example, resolve_field, with_flags
from rise_store.store.json_values import check_value
from rise_store.store.paths import join_path, parse_path

TEXT_FIELDS = ("license", "source_uri", "dataset_version")
_PAGE_ROWS = 64
Keys = tuple[str, ...]


def annotate_examples(
    collections: Sequence[Collection],
    where: Filter,
    *,
    set: Mapping[str, Any] | None = None,
    unset: Sequence[str] = (),
    dry_run: bool = False,
) -> AnnotateReport:
    """Set and remove payload fields of the examples that a filter lets through, page by page.

    Whole payloads are written back: what another client writes to the same rows meanwhile may be lost.
    `record_sha256` stays, so that ingesting the same unchanged rows again leaves the annotation alone. Repeating it
    after a crash finishes the rest.

    Args:
        collections: where to look.
        where: which examples.
        set: field -> value: `license`, `source_uri` and `dataset_version` take strings, metadata fields (nested ones
            as dotted paths) any JSON value.
        unset: fields to remove.
        dry_run: count only.

    Raises:
        ConfigError: nothing to change, a field that may not be changed, or one that is set and removed.
        InputError: a path that leads through a value that is no object, or a value that cannot be stored.
    """
    _check_once(set or {})
    values = {_settable(name): value for name, value in (set or {}).items()}
    removed = tuple(_settable(name) for name in unset)
    _check(values, removed)
    matched = changed = 0
    for collection in collections:
        for page in in_pages(collection.scroll(where, fields=()), _PAGE_ROWS):
            updates: dict[UUID, Payload] = {}
            found = collection.retrieve([point.id for point in page])  # as late as can be: they are written back whole
            for point in found.values():
                payload = _annotated(point.payload, values, removed)
                if canonical_json(payload) != canonical_json(point.payload):  # 1, 1.0 and True are not the same here
                    updates[point.id] = payload
            matched += len(found)
            changed += len(updates)
            if updates and not dry_run:
                collection.set_payload(updates)
    return AnnotateReport(
        matched=matched,
        changed=changed,
        unchanged=matched - changed,
        dry_run=dry_run,
        set={join_path(keys): value for keys, value in values.items()},
        unset=tuple(map(join_path, removed)),
    )


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Fields and values from `FIELD=VALUE`: a metadata value is read as JSON where it is JSON, else as a string.

    Raises:
        ConfigError: no `=`, no field, or a field that is set twice.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"--set {assignment!r} is not FIELD=VALUE, as in license=MIT or metadata.reviewed=true")
        if name in values:
            raise ConfigError(f"the field {name!r} is set twice; name one value")
        values[name] = text if name in TEXT_FIELDS else _json_or_text(text)
    _check_once(values)
    return values


def _check_once(names: Iterable[str]) -> None:
    """`ConfigError` where two spellings, such as a and metadata.a, name one field."""
    spelt: dict[Keys, str] = {}
    for name in names:
        other = spelt.setdefault(_settable(name), name)
        if other != name:
            raise ConfigError(f"{other!r} and {name!r} are the same field, which is set twice; name one value")


def _json_or_text(text: str) -> Any:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    # Integers beyond 64 bits become floats in orjson, whereas these would be refused as what they are.
    return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ConfigError(f"the integer {digits[:20]}... has more than 64 bits; quote it, to keep it as a text")
    return int(digits)


def _settable(name: str) -> Keys:
    path = resolve_field(name)
    keys = parse_path(path)
    if path in TEXT_FIELDS or (keys[0] == "metadata" and len(keys) > 1):
        return keys
    reason = "is metadata as a whole" if path == "metadata" else "is computed or names the example"
    assert path in OWN_FIELDS
    raise ConfigError(
        f"the field {name!r} cannot be changed, as it {reason}; {', '.join(TEXT_FIELDS)} and metadata.NAME can"
    )


def _check(values: Mapping[Keys, Any], removed: Sequence[Keys]) -> None:
    if not values and not removed:
        raise ConfigError("nothing to change: name a value to set, as in license=CC0-1.0, or a field to remove")
    for keys, value in values.items():
        path = join_path(keys)
        if path in TEXT_FIELDS and (not isinstance(value, str) or not value):
            raise ConfigError(f"{path} takes a text, not {value!r}; to remove it, unset it")
        check_value(value, path, "the annotation")
        if value is None:
            raise ConfigError(f"{path} cannot be null: null is no value; to remove it, unset it")
    named = [*values, *removed]
    for keys in named:
        inside = [other for other in named if other is not keys and other[: len(keys)] == keys]
        if inside:
            raise ConfigError(f"{join_path(keys)} and {join_path(inside[0])} overlap; change one of them")


def _annotated(payload: Payload, values: Mapping[Keys, Any], removed: Sequence[Keys]) -> Payload:
    result = deepcopy(payload)
    for keys, value in values.items():
        place = result
        for depth, key in enumerate(keys[:-1], 1):
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise InputError(
                    f"{describe_example(payload)}: cannot set {join_path(keys)}, as {join_path(keys[:depth])} is no "
                    "object; set that field as a whole, or leave this example out of the filter"
                )
        place[keys[-1]] = value
    for keys in removed:
        _remove(result, keys)
    if result.get("metadata") == {}:
        del result["metadata"]
    return with_flags(result)


def _remove(place: Any, keys: Keys) -> bool:
    """Remove the value at a path, and objects that this leaves empty; whether there was one."""
    key, *rest = keys
    if not isinstance(place, dict) or key not in place:
        return False
    if rest and not _remove(place[key], tuple(rest)):
        return False
    if not rest or place[key] == {}:
        del place[key]
    return True
