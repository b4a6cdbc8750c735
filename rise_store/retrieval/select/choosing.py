"""One selection: its strategy, what it holds of the stream of candidates, and what it chooses in the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from rise_store.errors import ConfigError
from rise_store.records import Strategy, ValueBy
from rise_store.retrieval.fusion import DEPTH
from rise_store.retrieval.select.diversity import (
    MOST_LOCATED,
    checked_diversity,
    facility_location,
    marginal_relevance,
    too_many_to_locate,
)
from rise_store.retrieval.select.limits import Limits, text_at
from rise_store.retrieval.select.pool import WINDOW, Pool, PoolRow, greedy
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
    unranked: int = 0  # of rrf, candidates beyond the depth of every target


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
            depth: of rrf, ranks of each target that count; by default 1,000, and k where that is more.

        Raises:
            ConfigError: an unknown strategy, settings of another one, or such as are out of range; k times the pool is
                more than facility location takes.
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
        if depth is not None and depth < 1:
            raise ConfigError(f"depth is {depth}; let at least 1 rank of each target count")
        times = DEFAULT_POOL if pool is None else pool
        if strategy == "facility-location" and limits.k is not None and limits.k * times > MOST_LOCATED:
            raise ConfigError(too_many_to_locate(limits.k * times))
        self.strategy = strategy
        self.by: ValueBy = strategy if strategy in ("max", "rrf") else "mean"
        self.diversity = checked_diversity(diversity) if strategy == "mmr" else None
        self._limits = limits
        self.depth = max(DEPTH, limits.k or 0) if depth is None else depth
        diverse = strategy in DIVERSE
        self._held = limits.times(times) if diverse else limits
        # The limits of a pool are wide already.
        self._pool = Pool(self._held, keep_signatures=diverse, window=1 if diverse else WINDOW)
        self._candidates = 0
        self._unseen = list(limits.fields)

    def __call__(self, blocks: Iterable[ValuedBlock], targets: int) -> Chosen:
        """Choose among all candidates; `targets` is how many they were valued for."""
        pool = self._pool
        unranked = 0
        most_held = 0
        if self.strategy == "rrf":
            fusion = RankFusion(targets, self.depth)
            for block in self._counted(blocks):
                fusion.add(block)
            most_held = fusion.held
            ranked = fusion.ranked()
            unranked = self._candidates - len(ranked)
            for fused in ranked:
                pool.add_valued(fused.candidate, fused.value)
        else:
            for block in self._counted(blocks):
                pool.add(block)
        rows = pool.rows()
        if self.strategy in DIVERSE:
            rows = greedy(rows, self._held)
        if self.strategy == "mmr":
            assert self.diversity is not None
            chosen = marginal_relevance(rows, self._limits, self.diversity)
        elif self.strategy == "facility-location":
            chosen = facility_location(rows, self._limits)
        else:
            chosen = greedy(rows, self._limits)
        most_held = max(most_held, pool.most_held)
        return Chosen(chosen, self._candidates, len(rows), most_held, tuple(self._unseen), unranked)

    def _counted(self, blocks: Iterable[ValuedBlock]) -> Iterator[ValuedBlock]:
        """The same blocks; notes how many candidates there are, and which fields of the limits they have."""
        for block in blocks:
            self._candidates += len(block.candidates)
            for candidate in block.candidates if self._unseen else ():
                self._unseen = [field for field in self._unseen if not text_at(candidate.fields, field)]
            yield block
