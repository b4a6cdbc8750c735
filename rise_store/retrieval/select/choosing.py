"""One selection: its strategy, what it holds of the stream of candidates, and what it chooses in the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from rise_store.errors import ConfigError
from rise_store.records import Strategy, ValueBy
from rise_store.retrieval.fusion import DEPTH
from rise_store.retrieval.select.diversity import checked_diversity, facility_location, marginal_relevance
from rise_store.retrieval.select.limits import Limits
from rise_store.retrieval.select.pool import Pool, PoolRow, greedy
from rise_store.retrieval.value import RankFusion, ValuedBlock

DEFAULT_POOL = 4  # times what is selected, for strategies that compare candidates with each other
DIVERSE = ("mmr", "facility-location")


@dataclass(frozen=True)
class Chosen:
    """What was chosen, and from how many."""

    rows: list[PoolRow]  # in the order in which they were chosen
    candidates: int  # seen
    pool: int  # held at the end
    most_held: int  # at any time
    unseen: tuple[str, ...]  # fields of the limits that no candidate has


class Chooser:
    """Chooses among candidates that come in blocks; what it holds does not grow with their number."""

    def __init__(
        self,
        strategy: Strategy,
        limits: Limits,
        *,
        pool: int | None = None,
        diversity: float | None = None,
        depth: int | None = None,
    ) -> None:
        """Check a selection.

        Args:
            strategy: mean, max, rrf, mmr or facility-location.
            limits: what may be chosen.
            pool: for the last two, how many times the limits are held to choose from; 4 by default.
            diversity: of mmr, 0 to 1; 0.5 by default.
            depth: of rrf, ranks of each target that count; 1,000 by default.

        Raises:
            ConfigError: an unknown strategy, settings of another one, or such as are out of range.
        """
        if strategy not in get_args(Strategy):
            raise ConfigError(f"unknown strategy {strategy!r}; choose one of {', '.join(get_args(Strategy))}")
        if diversity is not None and strategy != "mmr":
            raise ConfigError(f"diversity is a setting of mmr, not of {strategy}; leave it out")
        if pool is not None and strategy not in DIVERSE:
            raise ConfigError(f"pool is a setting of {' and '.join(DIVERSE)}, not of {strategy}; leave it out")
        if depth is not None and strategy != "rrf":
            raise ConfigError(f"depth is a setting of rrf, not of {strategy}; leave it out")
        if pool is not None and pool < 1:
            raise ConfigError(f"pool is {pool}; hold at least 1 times what is selected")
        self.strategy = strategy
        self.by: ValueBy = strategy if strategy in ("max", "rrf") else "mean"
        self.diversity = checked_diversity(diversity) if strategy == "mmr" else None
        self._limits = limits
        self._depth = depth
        diverse = strategy in DIVERSE
        held = limits.times(DEFAULT_POOL if pool is None else pool) if diverse else limits
        self._pool = Pool(held, keep_signatures=diverse)

    def __call__(self, blocks: Iterable[ValuedBlock], targets: int) -> Chosen:
        """Choose among all candidates; `targets` is how many they were valued for."""
        pool = self._pool
        candidates = 0
        if self.strategy == "rrf":
            fusion = RankFusion(targets, DEPTH if self._depth is None else self._depth)
            for block in blocks:
                candidates += len(block.candidates)
                fusion.add(block)
            held = fusion.held
            for fused in fusion.ranked():
                pool.add_valued(fused.candidate, fused.value)
            most_held = max(held, pool.most_held)
        else:
            for block in blocks:
                pool.add(block)
            candidates, most_held = pool.candidates, pool.most_held
        rows = pool.rows()
        if self.strategy == "mmr":
            assert self.diversity is not None
            chosen = marginal_relevance(rows, self._limits, self.diversity)
        elif self.strategy == "facility-location":
            chosen = facility_location(rows, self._limits)
        else:
            chosen = greedy(rows, self._limits)
        unseen = tuple(field for field in self._limits.fields if field not in pool.seen_fields)
        return Chosen(chosen, candidates, len(rows), most_held, unseen)
