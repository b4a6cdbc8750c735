"""One reader a format; each is a `Source`."""

from rise_store.corpus.formats.jsonl import JsonLines

__all__ = ["JsonLines"]
