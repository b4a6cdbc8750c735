"""The stability of an answer, in its table and its CSV."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from rise_store.records import Attribution, Stability

COLUMNS = ("in top", "ranks", "scores")  # of a table
FIELDS = ("in_top", "rank_low", "rank_high", "score_low", "score_high")  # of CSV


def cells(hit: Attribution, stability: Stability) -> tuple[str, str, str]:
    """A hit's share of the resamples, and the ranges of its rank and score."""
    spread = hit.stability
    if spread is None:
        return "-", "-", "-"
    beyond = f">{stability.depth}"
    ranks = [beyond if rank is None else str(rank) for rank in (spread.rank_low, spread.rank_high)]
    return f"{100 * spread.in_top:.0f}%", "-".join(ranks), f"{spread.score_low:.3f} to {spread.score_high:.3f}"


def fields(hit: Attribution) -> dict[str, Any]:
    """The same for CSV."""
    return {} if hit.stability is None else hit.stability.model_dump()


def print_stability(out: Console, stability: Stability) -> None:
    """How stable the answer is as a whole, and what the columns say."""
    overlap = "-" if stability.overlap is None else f"{100 * stability.overlap:.0f}%"
    out.print(
        Text(
            f"stability: {stability.resamples} draws of the query's {stability.positions} positions keep {overlap} of "
            f"the answer in their top {stability.k}; ranks and scores: 5 to 95 % of the draws",
            style="dim",
        )
    )
    for other in stability.seeds:
        same = "nothing to compare" if other.overlap is None else f"{100 * other.overlap:.0f}% of the answer"
        out.print(Text(f"sketch seed {other.seed} (space {other.space[:8]}): {same} among its own best", style="dim"))
