"""The three tasks of the RISE paper: their data, and what is right for which query."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rise_store.errors import ConfigError
from rise_store.evaluation.tasks import brainrot, finmed, howdy
from rise_store.evaluation.tasks.files import write_task
from rise_store.evaluation.tasks.frame import (
    QueryForm,
    QueryGroup,
    Task,
    TaskData,
    as_query,
    label_of,
    load_task,
)
from rise_store.evaluation.tasks.hub import HUB_SETS, HubSet, from_hub

TASKS = {task.name: task for task in (howdy.TASK, finmed.TASK, brainrot.TASK)}
DEFAULT_ROWS = {"howdy": 550, "finmed": 240, "brainrot": 400}

Origin = Literal["generated", "hub"]

__all__ = [
    "DEFAULT_ROWS",
    "HUB_SETS",
    "TASKS",
    "HubSet",
    "Origin",
    "QueryForm",
    "QueryGroup",
    "Task",
    "TaskData",
    "as_query",
    "from_hub",
    "label_of",
    "load_task",
    "make_task_data",
    "write_task",
]


def make_task_data(
    task: str, folder: str | Path, *, origin: Origin = "generated", rows: int | None = None, seed: int = 0
) -> Path:
    """Make the data of a task in a folder: the same for the same rows and seed.

    Args:
        task: howdy, finmed or brainrot.
        folder: empty, or not there yet.
        origin: `generated` from templates and, for brainrot, the reference that this Python ships; `hub` from openly
            licensed sets on Hugging Face (extra `datasets`).
        rows: training rows; by default 550, 240 and 400 of the three tasks.
        seed: of everything that is drawn.

    Raises:
        ConfigError: no such task, more rows than there are, or no set on the hub.
        InputError: the folder is not empty or cannot be written, or the hub cannot be reached.
    """
    chosen = find_task(task)
    rows = DEFAULT_ROWS[task] if rows is None else rows
    if origin == "hub":
        files = from_hub(chosen, rows, seed)
        told = f"rise-store eval data {task} --from hub --rows {rows} --seed {seed}"
    else:
        files = chosen.generate(rows, seed)
        told = f"rise-store eval data {task} --rows {rows} --seed {seed}"
    return write_task(chosen, folder, files, told)


def find_task(name: str) -> Task:
    """The task of a name; `ConfigError` where there is none."""
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}; choose one of {', '.join(TASKS)}")
    return TASKS[name]
