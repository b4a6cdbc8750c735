"""Trying many settings in few passes over the stored rows.

Settings with the same metric, lambdas and preconditioning share everything but the channels' weights, and a score is
linear in these: one pass gives each channel's part of the score for a family of settings, of as many families at a time
as memory allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError, InputError, StoreError
from rise_store.evaluation.choice import Values
from rise_store.evaluation.grid import settings_of
from rise_store.evaluation.labels import Labels, name_of
from rise_store.evaluation.protocol import Target, measure
from rise_store.records import LabelledQuery, Lambdas, Metric, Settings
from rise_store.retrieval import Preconditioner, Scoring, Where
from rise_store.retrieval.scan import PAGE
from rise_store.store import Collection
from rise_store.store.batches import batches

Array = npt.NDArray[np.float32]
MOST_BYTES = 1 << 29  # of folded queries and scores at a time

Precondition = Callable[[Collection, Scoring, float], Preconditioner]
"""Gives the preconditioning of one alpha for the features of a metric."""

_Key = tuple[Metric, Lambdas | None, float | None]


@dataclass(frozen=True)
class _Family:
    """Settings that differ in weights alone, and the queries folded with weights of 1, (queries, dim)."""

    scoring: Scoring
    folded: Array
    members: tuple[int, ...]  # numbers of the settings


@dataclass(frozen=True)
class Trial:
    """The settings that are tried in one space, on labelled rows."""

    collection: Collection
    labels: Labels
    settings: tuple[Settings, ...]

    @classmethod
    def of_space(cls, collection: Collection, queries: Sequence[LabelledQuery], where: Where = ()) -> Trial:
        """Every setting of a space.

        Raises:
            InputError: see `Labels.of_store`; or a query that every ranked row is relevant for.
        """
        labels = Labels.of_store(collection, queries, where)
        for number, query in enumerate(queries):
            if labels.relevant_of(number).all():
                raise InputError(
                    f"{name_of(query, number)}: every example that is ranked for it is relevant, so every ranking is "
                    "right; leave the query out, or store others"
                )
        return cls(collection, labels, tuple(settings_of(collection.space)))

    @property
    def rows_to_read(self) -> int:
        """Rows that all passes together read."""
        families = len(self._members())
        return -(-families // self._at_a_time) * len(self.labels.column)

    def run(
        self, signatures: Array, target: Target, precondition: Precondition, read: Callable[[int], None] | None = None
    ) -> Values:
        """The measure of every query under every setting, (settings, queries).

        Args:
            signatures: of the queries, (queries, dim).
            target: the measure.
            precondition: estimates preconditioning.
            read: is told of rows whenever they were read.
        """
        values = np.empty((len(self.settings), len(signatures)))
        for families in batches(self._families(signatures, precondition), self._at_a_time):
            for family, (rh, gh) in zip(families, self._parts(families, read), strict=True):
                for member in family.members:
                    weights = self.settings[member].weights
                    for number in range(len(signatures)):
                        scores = np.float32(weights.rh) * rh[number] + np.float32(weights.gh) * gh[number]
                        values[member, number] = measure(
                            self.labels.rows_of(number, scores), self.labels.relevant_of(number), target.name, target.k
                        )
        return values

    @property
    def _at_a_time(self) -> int:
        """Families that one pass scores."""
        each = 4 * len(self.labels.queries) * (2 * len(self.labels.column) + self.collection.space.dim)
        return max(1, MOST_BYTES // each)

    def _members(self) -> dict[_Key, list[int]]:
        members: dict[_Key, list[int]] = {}
        for number, setting in enumerate(self.settings):
            members.setdefault((setting.metric, setting.lambdas, setting.precondition), []).append(number)
        return members

    def _families(self, signatures: Array, precondition: Precondition) -> Iterator[_Family]:
        for (metric, lambdas, alpha), numbers in self._members().items():
            scoring = Scoring.plan(self.collection.space.estimator, metric, lambdas=lambdas)
            features = scoring.features(signatures)
            if alpha is not None:
                features = precondition(self.collection, scoring, alpha)(features)
            yield _Family(scoring, scoring.fold(features), tuple(numbers))

    def _parts(self, families: Sequence[_Family], read: Callable[[int], None] | None) -> list[tuple[Array, Array]]:
        """Of each family what each channel adds to the scores, (queries, rows) both."""
        dim_rh, queries = self.collection.space.estimator.dim_rh, len(families[0].folded)
        column = self.labels.column
        folded = np.concatenate([family.folded for family in families])  # (families * queries, dim)
        parts = np.zeros((2, len(folded), len(column)), dtype=np.float32)
        found = 0
        for points in batches(self.collection.scroll(self.labels.where, with_vectors=True, fields=()), PAGE):
            known = [point for point in points if point.id in column]
            if not known:
                continue
            columns = [column[point.id] for point in known]
            rows = np.stack([point.vector for point in known if point.vector is not None])  # (page, dim)
            products = (folded[:, :dim_rh] @ rows[:, :dim_rh].T, folded[:, dim_rh:] @ rows[:, dim_rh:].T)
            divisors = {scoring: scoring.divisors(rows) for scoring in {family.scoring for family in families}}
            for number, family in enumerate(families):
                own = slice(number * queries, (number + 1) * queries)
                for part, product, divisor in zip(parts, products, divisors[family.scoring], strict=True):
                    part[own, columns] = product[own] / divisor
            found += len(known)
            if read:
                read(len(known))
        if found < len(column):
            raise StoreError("examples were deleted while they were read for the calibration; run it again")
        split = [np.split(part, len(families)) for part in parts]
        return list(zip(*split, strict=True))


def require_same_examples(trials: Sequence[Trial]) -> None:
    """Refuse spaces that rank different examples, since what they reach could not be compared: `ConfigError`."""
    examples: list[set[tuple[str, str]]] = []
    for trial in trials if len(trials) > 1 else ():
        points = trial.collection.scroll(trial.labels.where, fields=("dataset", "example_id"))
        examples.append({(point.payload["dataset"], point.payload["example_id"]) for point in points})
        if examples[-1] != examples[0]:
            raise ConfigError(
                f"the spaces {trials[0].collection.space.fingerprint} and {trial.collection.space.fingerprint} do not "
                "hold the same examples, so their answers cannot be compared; ingest the same into both, "
                "or choose one with --space"
            )
