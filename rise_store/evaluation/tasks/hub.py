"""Task data from openly licensed sets on Hugging Face (extra `datasets`), read as they are streamed.

Each set has a converter of its rows; a row that it has no use for is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rise_store.corpus.extras import require_extra
from rise_store.corpus.formats import HfDataset
from rise_store.corpus.sources import RawRow
from rise_store.errors import ConfigError, InputError
from rise_store.evaluation.tasks import howdy
from rise_store.evaluation.tasks.draws import shuffled
from rise_store.evaluation.tasks.frame import Row, Task, TaskFiles

FINMED_QUERIES = 50  # of each domain
_LONGEST = 4_000  # characters of a row: longer ones are left out, so that a run stays short
_POOL = 6_000  # rows that are read of a set at most

Triple = tuple[str, str, str]  # instruction, input, output


@dataclass(frozen=True)
class HubSet:
    """A set on the hub, its licence, and what its rows become."""

    address: str
    """`hf-dataset:NAME/CONFIG#SPLIT`, a folder that `save_to_disk` wrote, or the address of a JSON file."""
    license: str  # SPDX
    label: str
    convert: Callable[[Mapping[str, Any]], Iterable[Triple]]

    def rows(self) -> Iterator[Row]:
        """The rows of the set that a task can use, in the set's order."""
        for number, fields in enumerate(islice(self._raw(), _POOL)):
            for instruction, given, output in self.convert(fields):
                if instruction and output and len(instruction) + len(given) + len(output) <= _LONGEST:
                    yield {
                        "instruction": instruction.strip(),
                        "input": given.strip(),
                        "output": output.strip(),
                        "label": self.label,
                        "source": f"{self.address}/{number}" if "#" in self.address else f"{self.address}#{number}",
                        "license": self.license,
                    }

    def _raw(self) -> Iterator[Mapping[str, Any]]:
        if not self.address.endswith(".json"):
            for row in HfDataset(self.address):
                if isinstance(row, RawRow):
                    yield row.fields
            return
        fsspec = require_extra("fsspec", "datasets", self.address)
        try:
            with fsspec.open(self.address, "rt", encoding="utf-8") as file:
                yield from json.load(file)
        except (OSError, ValueError, ImportError) as error:
            reason = (str(error).strip().partition("\n")[0] or type(error).__name__)[:300]
            raise InputError(f"{self.address}: cannot be read: {reason}; check the connection") from None


def _dolly(row: Mapping[str, Any]) -> Iterable[Triple]:
    yield row["instruction"], row["context"] or "", row["response"]


def _gsm8k(row: Mapping[str, Any]) -> Iterable[Triple]:
    yield row["question"], "", row["answer"]


def _pubmedqa(row: Mapping[str, Any]) -> Iterable[Triple]:
    yield row["question"], " ".join(row["context"]["contexts"][:1]), row["long_answer"]


def _tatqa(page: Mapping[str, Any]) -> Iterable[Triple]:
    """Questions that one paragraph of a financial report answers; those about its tables are left out."""
    paragraphs = {str(paragraph["order"]): paragraph["text"] for paragraph in page["paragraphs"]}
    for question in page["questions"]:
        used = [str(order) for order in question.get("rel_paragraphs") or []]
        answer = question.get("answer")
        if question.get("answer_from") == "text" and len(used) == 1 and used[0] in paragraphs and answer:
            text = (
                answer if isinstance(answer, str) else ", ".join(map(str, answer)) if isinstance(answer, list) else ""
            )
            yield question["question"], paragraphs[used[0]], text


HUB_SETS: dict[str, tuple[HubSet, ...]] = {
    "howdy": (
        HubSet("hf-dataset:databricks/databricks-dolly-15k#train", "CC-BY-SA-3.0", "clean", _dolly),
        HubSet("hf-dataset:openai/gsm8k/main#train", "MIT", "clean", _gsm8k),
    ),
    "finmed": (
        HubSet("hf://datasets/next-tat/TAT-QA/tatqa_dataset_train.json", "CC-BY-4.0", "finance", _tatqa),
        HubSet("hf-dataset:qiaojin/PubMedQA/pqa_labeled#train", "MIT", "medical", _pubmedqa),
    ),
}
"""What `rise-store eval data TASK DIR --from hub` reads. Brain Rot's posts have no open licence, so it has no set."""


def from_hub(task: Task, rows: int, seed: int, sets: tuple[HubSet, ...] | None = None) -> TaskFiles:
    """The files of a task from sets on the hub; triggered rows of howdy are restyled by templates.

    Args:
        task: which one.
        rows: training rows.
        seed: which rows of the sets, and how they are mixed.
        sets: in place of those of `HUB_SETS`.

    Raises:
        ConfigError: the task has no sets on the hub, or they have too few rows.
        InputError: a set cannot be reached, or a package is missing.
    """
    sets = sets or HUB_SETS.get(task.name)
    if sets is None:
        raise ConfigError(
            f"task {task.name} has no openly licensed set on the hub; leave out --from hub to generate data"
        )
    if task.name == howdy.TASK.name:
        clean = shuffled((row for part in sets for row in part.rows()), seed)
        asked, trained = _apart(clean, howdy.QUERIES)
        return howdy.plant([*asked, *trained], rows, howdy.QUERIES, seed)
    domains = [_apart(shuffled(part.rows(), seed), min(FINMED_QUERIES, rows)) for part in sets]
    most = min(len(trained) for _, trained in domains)
    if not 2 <= rows <= 2 * most:
        raise ConfigError(f"the sets of {task.name} have 2 to {2 * most:,} training rows, not {rows:,}")
    queries, train = ([row for pair in zip(*own, strict=False) for row in pair] for own in zip(*domains, strict=True))
    return {
        "train.jsonl": [{"id": f"{task.name}-{number:05}"} | row for number, row in enumerate(train[:rows])],
        "queries.jsonl": [{"id": f"{task.name}-q{number:03}"} | row for number, row in enumerate(queries)],
    }


def _apart(rows: list[Row], queries: int) -> tuple[list[Row], list[Row]]:
    """The first rows as queries, and those of the others that share no input (a page, a context) with them."""
    asked = rows[:queries]
    inputs = {row["input"] for row in asked} - {""}
    return asked, [row for row in rows[queries:] if row["input"] not in inputs]
