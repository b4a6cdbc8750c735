"""Answers as pages that people read, print and keep: HTML in one file that needs no network."""

from rise_store.reports.explanation import explanations_html, write_explanations

__all__ = ["explanations_html", "write_explanations"]
