"""The embedded engine: a folder on disk, one process at a time, no server."""
