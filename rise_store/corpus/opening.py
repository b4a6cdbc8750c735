"""Names that a user gives -> sources -> examples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from typing_extensions import TypedDict, Unpack

from rise_store.corpus.chat import read_chat_template
from rise_store.corpus.dispatch import open_source
from rise_store.corpus.formats import HfDataset, SqlQuery
from rise_store.corpus.mapping import parse_mapping
from rise_store.corpus.reader import ExampleReader
from rise_store.corpus.sources import Source
from rise_store.errors import InputError


class SourceOptions(TypedDict, total=False):
    """How sources are read; every key may be left out."""

    format: str | None  # one of `FORMATS`, of all names; by default told by their suffixes
    encoding: str | None  # of text, CSV and JSON Lines; by default UTF-8, or what a byte order mark says
    split: str | None  # of Hugging Face datasets
    sql: str | None  # address of a database, whose rows come behind those of the names
    query: str | None  # what it is asked
    map: str | Sequence[str] | Mapping[str, str]  # target=field, ...: see `parse_mapping`
    template: str | Sequence[str]  # texts with {field}: see `parse_template`
    only_mapped: bool  # leave out fields that nothing names, rather than keep them as metadata
    chat_template: str | os.PathLike[str] | None  # file of a Jinja template in place of the model's own


def open_sources(names: Sequence[str | os.PathLike[str]], **options: Unpack[SourceOptions]) -> list[Source]:
    """The sources that names stand for: files, folders, patterns, addresses, datasets; see `open_source`.

    Raises:
        InputError: a source that does not exist, cannot be opened, or needs a package that is not installed.
    """
    sql, query = options.get("sql"), options.get("query")
    if (sql is None) != (query is None):
        raise InputError("--sql and --query belong together: the address of a database, and what it is asked")
    format, encoding, split = options.get("format"), options.get("encoding"), options.get("split")
    sources = [source for name in names for source in open_source(name, format, encoding, split)]
    if split is not None and not any(isinstance(source, HfDataset) for source in sources):
        raise InputError(f"--split {split}: no Hugging Face dataset is named; leave it out")
    if sql is not None and query is not None:
        sources.append(SqlQuery(sql, query))
    return sources


def open_examples(
    names: Sequence[str | os.PathLike[str]], *, distinct: bool = True, **options: Unpack[SourceOptions]
) -> ExampleReader:
    """The examples of sources, one after the other; see `open_sources` and `ExampleReader`.

    Raises:
        InputError: also a mapping or template that cannot be read, or that names a column which a table lacks.
    """
    mapping = parse_mapping(options.get("map", ()), options.get("template", ()), options.get("only_mapped", False))
    template = read_chat_template(options.get("chat_template"))
    # not all options: the address of a database holds a password, and the manifests say what was asked
    told = {"format": options.get("format"), "encoding": options.get("encoding")}
    settings = {name: value for name, value in told.items() if value is not None}
    sources = open_sources(names, **options)
    return ExampleReader(sources, distinct=distinct, mapping=mapping, chat_template=template, settings=settings)
