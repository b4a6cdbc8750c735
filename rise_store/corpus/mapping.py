"""Rows of a foreign layout -> rows as `parse_row` reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rise_store.corpus.field_paths import MISSING, Path, join_path, parse_path, split_escaped, value_at
from rise_store.corpus.templates import Template, parse_template
from rise_store.errors import InputError

LAYOUTS = (
    ("text",),
    ("prompt", "completion", "generation"),
    ("instruction", "input", "output"),
    ("messages", "conversations"),
)
"""Fields that an example's text is made of; those of one layout belong together."""

CONTENT = frozenset(name for layout in LAYOUTS for name in layout)
OWN_FIELDS = CONTENT | {"id", "license", "source_uri", "metadata"}
"""Fields that mean something without a mapping."""

TARGETS = (
    "text", "prompt", "completion", "instruction", "input", "output", "messages", "id", "license", "source_uri",
    "metadata",
)  # fmt: skip


@dataclass(frozen=True)
class FieldMapping:
    """Which fields of a row become which of an example's.

    A field that a mapping or template takes whole is not repeated in the metadata. Fields of a row that have one of
    our names keep their meaning, except where the mapping gives that field, or the text in another layout: then they
    are kept as metadata like every other field, or left out with `only_mapped`.
    """

    fields: tuple[tuple[Path, Path], ...] = ()  # target, source
    templates: tuple[Template, ...] = ()
    only_mapped: bool = False

    @cached_property
    def sources(self) -> tuple[Path, ...]:
        """Paths of the row's fields that it takes."""
        taken = [source for _, source in self.fields] + [path for each in self.templates for path in each.paths]
        return tuple(dict.fromkeys(taken))

    @cached_property
    def needed(self) -> tuple[Path, ...]:
        """Those of them that the text or the id is made of."""
        taken = [source for target, source in self.fields if target[0] in CONTENT | {"id"}]
        return tuple(dict.fromkeys(taken + [path for each in self.templates for path in each.paths]))

    @property
    def changes_rows(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.fields or self.templates or self.only_mapped)

    @property
    def settings(self) -> dict[str, Any]:
        """What it does, as JSON; empty where that is nothing."""
        settings: dict[str, Any] = {}
        if self.fields:
            settings["map"] = {join_path(target): join_path(source) for target, source in self.fields}
        if self.templates:
            settings["template"] = {each.target: each.text for each in self.templates}
        if self.only_mapped:
            settings["only_mapped"] = True
        return settings

    @cached_property
    def gives_content(self) -> bool:
        """Whether it says where the text comes from."""
        return any(target[0] in CONTENT for target, _ in self.fields) or bool(self.templates)

    def use(self, name: str) -> str:
        """What becomes of a top-level field: names of ours that it goes to, "metadata", or "" where it is left out."""
        targets = [join_path(target) for target, source in self.fields if source[0] == name]
        targets += [each.target for each in self.templates if any(path[0] == name for path in each.paths)]
        if name in OWN_FIELDS - self._displaced and not (name == "metadata" and self.only_mapped):
            targets.append(name)
        if not targets:
            return "" if self.only_mapped else "metadata"
        return ", ".join(dict.fromkeys(targets))

    def __call__(self, row: Any) -> Any:
        """The row with the fields of `parse_row`; what is no object is given back as it is.

        Raises:
            InputError: without a location: the row lacks a field of a template, or its metadata is in the way.
        """
        if not isinstance(row, Mapping) or not self.changes_rows:
            return row
        mapped: dict[str, Any] = {}
        extra: dict[str, Any] = {}  # has one of our names, and stands for something else
        for name, value in row.items():
            if name in OWN_FIELDS and name not in self._displaced:
                if name != "metadata" or not self.only_mapped:
                    mapped[name] = value
            elif name not in self._taken and not self.only_mapped:
                (extra if name in OWN_FIELDS else mapped)[name] = value
        mapped |= {each.target: each.fill(row) for each in self.templates}
        inner: list[tuple[Path, Any]] = []
        for target, source in self.fields:
            value = value_at(row, source)
            if value is not MISSING and len(target) == 1:
                mapped[target[0]] = value
            elif value is not MISSING:
                inner.append((target[1:], value))
        if extra or inner:
            mapped["metadata"] = _metadata(mapped, extra, inner)
        return mapped

    @cached_property
    def _taken(self) -> frozenset[str]:
        return frozenset(path[0] for path in self.sources if len(path) == 1)

    @cached_property
    def _displaced(self) -> frozenset[str]:
        given = {target[0] for target, _ in self.fields if len(target) == 1} | {each.target for each in self.templates}
        if not given & CONTENT:
            return frozenset(given)
        others = [name for layout in LAYOUTS if not given & set(layout) for name in layout]
        return frozenset(given).union(others)


def _metadata(mapped: dict[str, Any], extra: dict[str, Any], inner: list[tuple[Path, Any]]) -> dict[str, Any]:
    """The row's own metadata, with fields that stand for something else and those that are mapped into it."""
    own = mapped.get("metadata")
    if own is not None and not isinstance(own, Mapping):
        raise InputError('"metadata" is no object, so that no field can be mapped into it')
    metadata = dict(own or {})
    for name, value in extra.items():
        if metadata.setdefault(name, value) != value:
            raise InputError(f"field {name!r} and the field of that name in its metadata are both there; map one")
    for path, value in inner:
        top = mapped.pop(path[0], MISSING) if path[0] not in OWN_FIELDS else MISSING
        if top is not MISSING and len(path) > 1:  # the mapped field goes into that one, else in its place
            metadata.setdefault(path[0], top)
        _put(metadata, path, value)
    return metadata


def parse_mapping(
    fields: str | Sequence[str] | Mapping[str, str] = (), templates: str | Sequence[str] = (), only_mapped: bool = False
) -> FieldMapping:
    r"""A mapping from `text=body,id=doc_id,metadata.author=by` (one or several, or target -> source) and templates.

    Sources are paths: `meta.author` leads into an object, `turns.0` into a list; `\.` is a dot within a name, `\,` a
    comma. Targets are text, prompt, completion, instruction, input, output, messages, id, license, source_uri,
    metadata and metadata.NAME.

    Raises:
        InputError: an unknown target, a target that is given twice, or a template that cannot be read.
    """
    if isinstance(fields, Mapping):
        pairs = [(target, source) for target, source in fields.items()]
    else:
        texts = [fields] if isinstance(fields, str) else fields
        pairs = [_pair(part, text) for text in texts for part in split_escaped(text, ",")]
    parsed = tuple((_target(target), _source(source, target)) for target, source in pairs)
    texts = [templates] if isinstance(templates, str) else templates
    mapping = FieldMapping(parsed, tuple(parse_template(text) for text in texts), only_mapped)
    _refuse_clashes([target for target, _ in parsed] + [(each.target,) for each in mapping.templates])
    return mapping


def _pair(part: str, whole: str) -> tuple[str, str]:
    target, equals, source = part.partition("=")
    if not equals:
        raise InputError(f"mapping {whole!r}: {part!r} is not TARGET=FIELD, such as text=body")
    return target, source


def _target(text: str) -> Path:
    path = parse_path(text.strip())
    if path is None or path[0] not in TARGETS or (len(path) > 1 and path[0] != "metadata"):
        raise InputError(f"mapping: {text.strip()!r} is no field of an example; fields: {', '.join(TARGETS)}.NAME")
    return path


def _source(text: str, target: str) -> Path:
    path = parse_path(text.strip())
    if path is None:
        raise InputError(f"mapping: {text.strip()!r} for {target.strip()} names no field of a row")
    return path


def _refuse_clashes(targets: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for target in targets:
        if target in seen:
            raise InputError(f"mapping: {join_path(target)} is given twice; give it once")
        seen.add(target)
    for target in targets:
        for length in range(2, len(target)):
            if target[:length] in seen:
                raise InputError(f"mapping: {join_path(target)} lies within {join_path(target[:length])}; give one")


def _put(metadata: dict[str, Any], path: Path, value: Any) -> None:
    place = metadata
    for name in path[:-1]:
        inner = place.get(name)
        if inner is not None and not isinstance(inner, Mapping):
            raise InputError(f"metadata.{join_path(path)} cannot be put in: {name!r} is no object in this row")
        place[name] = dict(inner or {})
        place = place[name]
    place[path[-1]] = value
