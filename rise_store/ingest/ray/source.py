"""A source of Ray Data whose rows are the blocks of a run, as they are formed. Imports Ray: only for `ray.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata


class BlockSource(Datasource):  # type: ignore[misc]
    """Reads pickled blocks from a `ray.util.queue.Queue` until None comes."""

    def __init__(self, queue: Any) -> None:
        super().__init__()
        self._queue = queue

    def estimate_inmemory_data_size(self) -> int | None:
        """Nobody knows."""
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        """One task, which gives each block as soon as it comes."""
        queue = self._queue

        def read() -> Iterator[pa.Table]:
            while (block := queue.get()) is not None:
                yield pa.table({"block": [block]})

        return [ReadTask(read, BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None))]
