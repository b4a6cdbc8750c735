"""Labels of stored rows: which of them ought to rank high for which query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.errors import InputError, RiseStoreError
from rise_store.records import LabelledQuery
from rise_store.retrieval import Where, check_fields, parse_where
from rise_store.store import And, Collection, Filter

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """Which stored rows are ranked for labelled queries, and which of them are relevant."""

    queries: tuple[LabelledQuery, ...]
    where: Filter | None  # that all ranked rows pass
    column: dict[UUID, int]  # number of each row, in the order of ids
    relevant: Mask  # (queries, rows)
    ranked: tuple[Mask | None, ...]  # (rows,) by query: what its own filter lets through; None: all

    @classmethod
    def of_store(cls, collection: Collection, queries: Sequence[LabelledQuery], where: Where = ()) -> Labels:
        """Find the relevant rows of each query among those that pass a filter, and its own one.

        Raises:
            InputError: no queries, or one that has no relevant row, or ids that are not stored, with its file and line.
            FilterError: a filter that cannot be read or names an unknown field, or lets nothing through.
        """
        if not queries:
            raise InputError("there are no labelled queries")
        common = parse_where(where)
        if common is not None:
            check_fields(common, collection)
        column = {point.id: number for number, point in enumerate(collection.scroll(common, fields=()))}
        if not column:
            raise InputError("no stored example passes the filter" if common else "the store holds no examples")
        masks = _Masks(collection, common, column)
        relevant = np.zeros((len(queries), len(column)), dtype=np.bool_)
        ranked = []
        for number, query in enumerate(queries):
            try:
                relevant[number] = masks.relevant(query)
                ranked.append(None if query.where is None else masks.of(query.where))
                if ranked[-1] is not None:
                    relevant[number] &= ranked[-1]
                if not relevant[number].any():
                    raise InputError("no example that is ranked for it is relevant; see its filters")
            except RiseStoreError as error:
                raise type(error)(f"{name_of(query, number)}: {error}") from error
        return cls(tuple(queries), common, column, relevant, tuple(ranked))

    def rows_of(self, number: int, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Of one value a row, those of the rows that are ranked for a query."""
        mask = self.ranked[number]
        return values if mask is None else values[mask]

    def relevant_of(self, number: int) -> Mask:
        """Which of the rows that are ranked for a query are relevant."""
        mask = self.ranked[number]
        own: Mask = self.relevant[number] if mask is None else self.relevant[number][mask]
        return own


def name_of(query: LabelledQuery, number: int) -> str:
    """What a message calls a query that is number `number`, from 0: where it was read, or its id."""
    return query.location or f"query {query.id or number + 1}"


class _Masks:
    """Masks of rows, each filter read once."""

    def __init__(self, collection: Collection, common: Filter | None, column: dict[UUID, int]) -> None:
        self._collection = collection
        self._common = common
        self._column = column
        self._known: dict[str, Mask] = {}
        self._by_id: dict[str, list[int]] | None = None

    def relevant(self, query: LabelledQuery) -> Mask:
        return self._with_ids(query.relevant) if isinstance(query.relevant, tuple) else self.of(query.relevant)

    def of(self, where: Where) -> Mask:
        key = repr(where)
        if key not in self._known:
            own = parse_where(where)
            assert own is not None
            check_fields(own, self._collection)
            mask = np.zeros(len(self._column), dtype=np.bool_)
            both = own if self._common is None else And((self._common, own))
            for point in self._collection.scroll(both, fields=()):
                if point.id in self._column:  # another client may have stored it meanwhile
                    mask[self._column[point.id]] = True
            self._known[key] = mask
        return self._known[key]

    def _with_ids(self, ids: tuple[str, ...]) -> Mask:
        if self._by_id is None:
            self._by_id = {}
            for point in self._collection.scroll(self._common, fields=("example_id",)):
                if point.id in self._column:
                    self._by_id.setdefault(point.payload["example_id"], []).append(self._column[point.id])
        mask = np.zeros(len(self._column), dtype=np.bool_)
        for id_ in ids:
            if id_ not in self._by_id:
                among = " that passes --where" if self._common is not None else ""
                raise InputError(f"relevant names {id_[:60]!r}, but no stored example{among} has this id")
            mask[self._by_id[id_]] = True
        return mask
