"""Where examples come from: files of rows, and the material of the demo."""

from rise_store.corpus.backdoor import Backdoor, synthetic_backdoor
from rise_store.corpus.demo_model import cache_directory, fetch_smollm2
from rise_store.corpus.demo_questions import DEMO_QUESTIONS, DemoQuestion
from rise_store.corpus.formats import JsonLines
from rise_store.corpus.lines import MAX_LINE_BYTES, Position
from rise_store.corpus.mapping import FieldMapping, parse_mapping
from rise_store.corpus.opening import SourceOptions, open_examples, open_sources
from rise_store.corpus.python_reference import python_reference
from rise_store.corpus.queries import read_queries
from rise_store.corpus.reader import ExampleReader, read_examples, read_jsonl
from rise_store.corpus.rows import parse_row
from rise_store.corpus.sources import RawRow, RejectedRow, Source

__all__ = [
    "DEMO_QUESTIONS",
    "MAX_LINE_BYTES",
    "Backdoor",
    "DemoQuestion",
    "ExampleReader",
    "FieldMapping",
    "JsonLines",
    "Position",
    "RawRow",
    "RejectedRow",
    "Source",
    "SourceOptions",
    "cache_directory",
    "fetch_smollm2",
    "open_examples",
    "open_sources",
    "parse_mapping",
    "parse_row",
    "python_reference",
    "read_examples",
    "read_jsonl",
    "read_queries",
    "synthetic_backdoor",
]
