"""Runs and datasets in the catalogue: manifests, receipts, versions, and how a run closes."""
