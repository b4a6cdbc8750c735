"""What happens to stored examples after ingestion: delete, compact, annotate, export, import, migrate."""

from rise_store.lifecycle.annotate import annotate_examples, parse_assignments
from rise_store.lifecycle.compact import compact_collections
from rise_store.lifecycle.delete import delete_examples
from rise_store.lifecycle.export import export_collection
from rise_store.lifecycle.import_file import import_file
from rise_store.lifecycle.import_index import import_index
from rise_store.lifecycle.migrate import migrate_spaces
from rise_store.lifecycle.pages import Progress
from rise_store.lifecycle.tombstones import tombstones_of

__all__ = [
    "Progress",
    "annotate_examples",
    "compact_collections",
    "delete_examples",
    "export_collection",
    "import_file",
    "import_index",
    "migrate_spaces",
    "parse_assignments",
    "tombstones_of",
]
