"""Which candidates to train on: the best, or the best together, within limits."""

from rise_store.retrieval.select.choosing import DEFAULT_POOL, Chooser, Chosen
from rise_store.retrieval.select.diversity import DEFAULT_DIVERSITY
from rise_store.retrieval.select.limits import Limits

__all__ = ["DEFAULT_DIVERSITY", "DEFAULT_POOL", "Chooser", "Chosen", "Limits"]
