"""Delete examples, after a look at which ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from rise_store.errors import ConfigError
from rise_store.lifecycle.pages import in_pages
from rise_store.lifecycle.rows import identity_of
from rise_store.records import DeleteReport, ExampleSummary
from rise_store.store import And, Collection, Equals, Erasure, Filter, In, Tombstones

SAMPLE = 5
_PREVIEW_CHARACTERS = 200
_IDS_A_FILTER = 1_000  # example ids that one filter names
_PAGE_ROWS = 500
_MOST_DATASETS = 1_000_000


def delete_examples(
    collections: Sequence[Collection],
    *,
    ids: Sequence[str] | None = None,
    dataset: str | None = None,
    where: Filter | None = None,
    act: bool = False,
    tombstones: Tombstones | None = None,
    reason: str = "",
    everywhere: Sequence[Collection] = (),
) -> DeleteReport:
    """Count the examples that all conditions name, and with `act` delete them.

    All collections are counted before the first example goes, so that a filter which one of them cannot answer leaves
    all of them whole. Deleting is logical: their bytes stay in the files until the collection is compacted. Repeating
    it after a crash deletes the rest.

    Args:
        collections: where to look.
        ids: example ids, of whatever dataset; of an empty list, nothing.
        dataset: name of a dataset.
        where: a filter.
        act: whether to delete; otherwise nothing is written.
        tombstones: of the store, to keep what is deleted from coming back: they are written before the examples go.
        reason: what these tombstones say.
        everywhere: where to look for examples of equal content that stay; by default in `collections`.

    Raises:
        ConfigError: no condition at all, or `ids` is a text.
    """
    if isinstance(ids, str):
        raise ConfigError(f"ids is the text {ids!r}, and would be read letter by letter; give a list of example ids")
    if ids is None and dataset is None and where is None:
        raise ConfigError(
            "nothing says what to delete: name example ids, a dataset or a filter, as in --dataset news or "
            "--where license=MIT"
        )
    wanted = None if ids is None else tuple(dict.fromkeys(ids))
    unknown = set(wanted or ())
    matched = deleted = 0
    sample: list[ExampleSummary] = []
    datasets: dict[str, int] = {}
    for collection in collections:
        for filter_ in _filters(wanted, dataset, where):
            found = collection.count(filter_)
            matched += found
            if found:
                sample += _summaries(collection, filter_, SAMPLE - len(sample))
                for name, count in collection.facet("dataset", limit=_MOST_DATASETS, where=filter_).items():
                    datasets[name] = datasets.get(name, 0) + count
        for filter_ in _filters(tuple(unknown), dataset, None) if unknown else ():
            unknown -= {point.payload["example_id"] for point in collection.scroll(filter_, fields=("example_id",))}
    erasing = _Erasing(tombstones, reason) if tombstones is not None and act and matched else None
    for collection in collections if act else ():
        for filter_ in _filters(wanted, dataset, where):
            before = collection.count(filter_)
            if erasing is not None:
                erasing.delete(collection, filter_)
            elif before:
                collection.delete_where(filter_)
            deleted += before - (collection.count(filter_) if before else 0)
    return DeleteReport(
        matched=matched,
        deleted=deleted,
        dry_run=not act,
        sample=tuple(sample),
        datasets=datasets,
        unknown_ids=tuple(id_ for id_ in wanted or () if id_ in unknown),
        erasure=None if erasing is None else erasing.erasure.id,
        tombstones=0 if erasing is None else erasing.new,
        equal_elsewhere=0 if erasing is None else erasing.equal(everywhere or collections),
    )


class _Erasing:
    """Deletes examples for good: what was deleted, and whether others of equal content are left."""

    def __init__(self, tombstones: Tombstones, reason: str) -> None:
        self.erasure = Erasure.begin(reason)
        self.new = 0
        self._tombstones = tombstones
        self._contents: set[str] = set()

    def delete(self, collection: Collection, where: Filter) -> None:
        """Page by page: first the tombstones, then those very examples go."""
        fields = ("dataset", "example_id", "content_sha256")
        for page in in_pages(collection.scroll(where, fields=fields), _PAGE_ROWS):
            examples = [identity_of(point.payload) for point in page]
            self.new += self._tombstones.add(examples, self.erasure)
            self._contents.update(example.content_sha256 for example in examples)
            collection.delete([point.id for point in page])

    def equal(self, collections: Sequence[Collection]) -> int:
        """Stored examples whose content equals that of one that was deleted."""
        hashes = sorted(self._contents)
        pages = [tuple(hashes[start : start + _PAGE_ROWS]) for start in range(0, len(hashes), _PAGE_ROWS)]
        return sum(collection.count(In("content_sha256", page)) for collection in collections for page in pages)


def _filters(ids: Sequence[str] | None, dataset: str | None, where: Filter | None) -> Iterator[Filter]:
    """Filters of disjoint examples that together name what all conditions name."""
    shared: list[Filter] = [] if dataset is None else [Equals("dataset", dataset)]
    if where is not None:
        shared.append(where)
    if ids is None:
        yield _all_of(shared)
        return
    for start in range(0, len(ids), _IDS_A_FILTER):
        yield _all_of([In("example_id", tuple(ids[start : start + _IDS_A_FILTER])), *shared])


def _all_of(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _summaries(collection: Collection, where: Filter, size: int) -> list[ExampleSummary]:
    fields = ("example_id", "dataset", "license", "text")
    if size < 1:
        return []
    return [_summary(point.payload) for point in islice(collection.scroll(where, fields=fields), size)]


def _summary(payload: dict[str, str]) -> ExampleSummary:
    text = payload.get("text")
    return ExampleSummary(
        example_id=payload["example_id"],
        dataset=payload["dataset"],
        license=payload.get("license"),
        text=None if text is None else text[:_PREVIEW_CHARACTERS],
    )
