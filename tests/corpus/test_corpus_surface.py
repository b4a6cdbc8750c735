from __future__ import annotations

import subprocess
import sys

import rise_store.corpus


def test_the_public_names_are_these() -> None:
    assert rise_store.corpus.__all__ == [
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
    assert all(hasattr(rise_store.corpus, name) for name in rise_store.corpus.__all__)


def test_the_corpus_needs_no_other_part_and_no_torch() -> None:
    script = """
import sys
import rise_store
before = set(sys.modules)
import rise_store.corpus
new = set(sys.modules) - before
parts = {name.split(".")[1] for name in new if name.startswith("rise_store.")}
assert parts <= {"corpus", "records", "errors"}, parts
assert not new & {"torch", "transformers", "qdrant_client", "zstandard"}, new
"""
    subprocess.run([sys.executable, "-c", script], check=True)
