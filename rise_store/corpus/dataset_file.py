"""`dataset.yaml`: the provenance of a dataset in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rise_store.errors import InputError
from rise_store.records import CollectionPeriod, Dataset

_LARGEST = 2**20  # bytes


def read_dataset_file(path: str | Path, overriding: Mapping[str, Any] | None = None) -> Dataset:
    """The dataset that a YAML file describes: its keys are the fields of `Dataset`.

    Scalars are taken as they are written, so that version 1.10 does not become 1.1; null is nothing.

    Args:
        path: the file.
        overriding: fields that count in place of those of the file.

    Raises:
        InputError: the file cannot be read, is no YAML, or has a key or value that cannot be used; names file and line.
    """
    path = Path(path)
    fields, lines = _fields(path)
    fields |= overriding or {}
    try:
        return Dataset.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(key) for key in first["loc"]]
        message = str(first["msg"]).removeprefix("Value error, ")
        if keys == ["name"] and "name" not in fields:
            raise InputError(f"{path}: the dataset has no name: add a line 'name: NAME', or use --dataset") from None
        is_own = bool(keys) and keys[0] not in (overriding or {})
        line = next((lines[key] for key in (".".join(keys), *keys[:1]) if key in lines), 1)
        where = f"{path}:{line}: " if is_own else "dataset "
        raise InputError(f"{where}{'.'.join(keys)}: {message}") from None


def _fields(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The fields of the file, and the line of each."""
    node = _root(path)
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{path}:1: a dataset file is a list of 'field: value' lines, beginning with 'name: NAME'")
    fields: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value in _entries(node, path, "", tuple(Dataset.model_fields)):
        lines[key.value] = key.start_mark.line + 1
        if key.value == "collection_period" and isinstance(value, yaml.MappingNode):
            period: dict[str, Any] = {}
            for inner, day in _entries(value, path, "collection_period.", tuple(CollectionPeriod.model_fields)):
                lines[f"collection_period.{inner.value}"] = inner.start_mark.line + 1
                period[inner.value] = _scalar(day, path, f"collection_period.{inner.value}")
            fields[key.value] = period
        elif key.value == "permitted_uses":
            if not isinstance(value, yaml.SequenceNode):
                raise InputError(f"{path}:{lines[key.value]}: permitted_uses: give a list, such as [training]")
            fields[key.value] = [_scalar(use, path, key.value) for use in value.value]
        else:
            fields[key.value] = _scalar(value, path, key.value)
    return {name: value for name, value in fields.items() if value is not None}, lines


def _root(path: Path) -> yaml.Node | None:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > _LARGEST:
        raise InputError(f"{path} is larger than {_LARGEST:,} bytes, which no description of a dataset is")
    try:
        return yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None


def _entries(
    node: yaml.MappingNode, path: Path, inside: str, known: tuple[str, ...]
) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        name = key.value if isinstance(key, yaml.ScalarNode) else "(a structure)"
        if name not in known:
            raise InputError(f"{path}:{line}: unknown field {inside}{name[:60]}; fields: {', '.join(known)}")
        if name in seen:
            raise InputError(f"{path}:{line}: {inside}{name} stands in line {seen[name]} already")
        seen[name] = line
    return list(node.value)


def _scalar(node: yaml.Node, path: Path, name: str) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        raise InputError(f"{path}:{node.start_mark.line + 1}: {name}: give one value, not a structure")
    return None if node.tag == "tag:yaml.org,2002:null" else str(node.value)
