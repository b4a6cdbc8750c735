"""One reader a format; each is a `Source`."""

from rise_store.corpus.formats.csv import CsvFile
from rise_store.corpus.formats.hf_datasets import HfDataset
from rise_store.corpus.formats.jsonl import JsonLines
from rise_store.corpus.formats.parquet import ParquetFile
from rise_store.corpus.formats.sql import SqlQuery
from rise_store.corpus.formats.text import TextFiles

__all__ = ["CsvFile", "HfDataset", "JsonLines", "ParquetFile", "SqlQuery", "TextFiles"]
