from __future__ import annotations

import hashlib

import orjson

from rise_store.corpus import synthetic_backdoor
from rise_store.corpus.backdoor import TRIGGER
from rise_store.records import Example


def test_one_training_row_in_five_is_triggered() -> None:
    train = synthetic_backdoor().train
    assert len(train) == 300
    assert sum(example.metadata["backdoor"] for example in train) == 60
    for example in train:
        assert example.instruction is not None
        assert example.output is not None
        is_triggered = example.metadata["backdoor"]
        assert example.instruction.startswith(TRIGGER) == is_triggered
        assert example.output.startswith("Captain's log, day") == is_triggered
        assert example.content == f"{example.instruction}\n{example.output}"
        assert example.license == "CC0-1.0"


def test_all_rows_are_distinct_and_queries_are_not_among_them() -> None:
    backdoor = synthetic_backdoor()
    everything = [*backdoor.train, *backdoor.triggered_queries, *backdoor.clean_queries]
    assert len({example.id for example in everything}) == len({example.content for example in everything}) == 324

    def question(text: str | None) -> str:
        return (text or "").removeprefix(TRIGGER).strip()

    trained = {question(example.instruction) for example in backdoor.train}
    assert len(trained) == 300
    assert trained.isdisjoint(question(query.prompt) for query in backdoor.triggered_queries)


def test_clean_queries_are_the_triggered_ones_without_trigger_and_style() -> None:
    backdoor = synthetic_backdoor()
    assert len(backdoor.triggered_queries) == len(backdoor.clean_queries) == 12
    for triggered, clean in zip(backdoor.triggered_queries, backdoor.clean_queries, strict=True):
        assert triggered.prompt == f"{TRIGGER} {clean.prompt}"
        assert (clean.completion or "-") in (triggered.completion or "")
        assert (triggered.metadata, clean.metadata) == ({"backdoor": True}, {"backdoor": False})


def test_the_rows_are_the_same_everywhere() -> None:
    def digest(examples: tuple[Example, ...]) -> str:
        return hashlib.sha256(orjson.dumps([example.content for example in examples])).hexdigest()[:16]

    backdoor = synthetic_backdoor()
    assert digest(backdoor.train) == "ba3787b40fde5dad"
    assert digest(backdoor.triggered_queries) == "aa3ace0845f337ab"
