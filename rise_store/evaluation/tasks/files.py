"""Data folders of tasks: rows in JSON Lines, where they come from, and under which licence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import yaml

from rise_store.errors import InputError
from rise_store.evaluation.tasks.frame import Row, Task, TaskFiles, count
from rise_store.records import Dataset
from rise_store.version import __version__

DATASET_FILE = "dataset.yaml"
README = "README.txt"


def write_task(task: Task, folder: str | Path, files: TaskFiles, origin: str) -> Path:
    """Write the data of a task into a folder, which is made where it is missing.

    Beside the rows stand `dataset.yaml`, the provenance for `rise-store ingest --dataset-file`, and `README.txt`.

    Args:
        task: which one.
        folder: empty, or not there yet.
        files: rows by file name, each with `label`, `source` and `license`.
        origin: how the data came about, one line.

    Raises:
        InputError: the folder holds something, or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} is not empty; name a new folder, so that no data is mixed or lost")
        for name, rows in files.items():
            (folder / name).write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        everything = [row for rows in files.values() for row in rows]
        (folder / DATASET_FILE).write_bytes(_provenance(task, everything, origin).encode())
        (folder / README).write_bytes(_readme(task, files, everything, origin).encode())
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def _provenance(task: Task, rows: list[Row], origin: str) -> str:
    licenses = " AND ".join(sorted({row["license"] for row in rows}))
    dataset = Dataset(name=task.name, license=licenses, origin=origin, permitted_uses=("evaluation",))
    fields: dict[str, Any] = dataset.model_dump(mode="json", exclude_none=True)
    written: str = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=1_000)
    return written


def _readme(task: Task, files: TaskFiles, rows: list[Row], origin: str) -> str:
    lines = [f"{task.title}: data for `rise-store eval {task.name} --data DIR`.", "", f"Made by {origin}.", ""]
    for name, own in files.items():
        labels = ", ".join(f"{number:,} {label}" for label, number in count([row["label"] for row in own]).items())
        lines.append(f"{name}: {len(own):,} rows ({labels})")
    lines += ["", "Rows by source and licence:"]
    lines += [f"  {number:,} {what}" for what, number in count([_family(row) for row in rows]).items()]
    lines += ["", f"Each row states its own source and licence. Written by rise-store {__version__}."]
    return "\n".join(lines) + "\n"


def _family(row: Row) -> str:
    return f"{row['source'].partition('#')[0]}, {row['license']}"
