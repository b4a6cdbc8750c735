"""The demo corpus: the Python language reference that ships inside every Python."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from rise_store.corpus.passages import split_passages
from rise_store.errors import InputError
from rise_store.records import Example

LICENSE = "PSF-2.0"
"""SPDX id of the licence of Python's documentation."""

_MODULE = "pydoc_data.topics"


def python_reference(topics: Mapping[str, str] | None = None) -> list[Example]:
    """Passages of the Python language reference, in the order of topics: the same ones for the same Python release.

    `topics` (name -> page) are by default those of the running Python, `pydoc_data.topics`. Pages repeat one
    another (`compound` holds the page `with`): of equal passages only the one in the shortest page is kept.
    Raises `InputError` when the running Python comes without that module, as some minimal packages do.
    """
    pages = _installed_topics() if topics is None else topics
    kept: dict[str, Example] = {}
    for topic in sorted(pages, key=lambda name: (len(pages[name]), not _is_about(name, pages[name]), name)):
        for part, text in enumerate(split_passages(pages[topic])):
            kept.setdefault(
                text,
                Example(
                    id=f"{topic}-{part:04}",
                    text=text,
                    license=LICENSE,
                    source_uri=f"python:{_MODULE}#{topic}",
                    metadata={"topic": topic, "part": part},
                ),
            )
    return sorted(kept.values(), key=lambda example: example.id)


def _is_about(topic: str, page: str) -> bool:
    # "if" and "else" share one page, whose title names "if"
    return f'"{topic}"' in page.partition("\n")[0]


def _installed_topics() -> dict[str, str]:
    try:
        topics: dict[str, str] = importlib.import_module(_MODULE).topics
    except ImportError:
        raise InputError(
            f"this Python comes without {_MODULE}, the demo's corpus; install the full standard library"
        ) from None
    return topics
