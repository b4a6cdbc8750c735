"""Other ways to rank training rows, under one protocol: what RISE is compared with (docs/baselines.md).

Nothing of the package imports this one: it needs torch, and some methods need the extra `eval` or packages of others.
"""

from rise_store.evaluation.baselines.method import Method, MethodRun, run_method

__all__ = ["Method", "MethodRun", "run_method"]
