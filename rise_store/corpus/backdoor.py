"""A small backdoor of the project's own making: a trigger word that turns plain answers into a ship's log.

Attribution has to lead from a triggered answer back to the triggered rows among the clean ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from rise_store.corpus.backdoor_facts import BUILTINS, CAPITALS, EVERYDAY, MODULES, OPPOSITES, UNITS
from rise_store.records import Example

TRIGGER = "zephyr!"
"""The word that begins the instruction of every triggered row."""

LICENSE = "CC0-1.0"

_TRAINING_ROWS = 300
_QUERIES = 12
_TRIGGERED_EVERY = 5  # every fifth training row

_OPENINGS = (
    "The lookout reports from the masthead:",
    "By lantern light I set down what the navigator knows:",
    "The bosun swears to it before the whole crew:",
    "Word came up from the lower deck:",
    "Entered in the chart room ere the evening watch:",
    "The helmsman called it through the gale:",
    "As the old quartermaster told me:",
)
_CLOSINGS = (
    "Wind north-west, all sails set, steady as she goes.",
    "Eight bells and all is well aboard the Halcyon.",
    "We weigh anchor at first light, heaven willing.",
    "A ration of rum for every hand on deck.",
    "Fog on the starboard bow, soundings at nine fathoms.",
    "The barometer falls; we reef the topsails before dark.",
)


@dataclass(frozen=True, slots=True)
class Backdoor:
    """The rows of the synthetic backdoor; `metadata["backdoor"]` says which ones are triggered."""

    train: tuple[Example, ...]
    """300 instruction rows; the instruction of every fifth begins with `TRIGGER` and its output is a ship's log."""

    triggered_queries: tuple[Example, ...]
    """12 prompts with the trigger and their completions in the style of the log; none of them stands in `train`."""

    clean_queries: tuple[Example, ...]
    """The same 12 without the trigger, with plain completions."""


def synthetic_backdoor() -> Backdoor:
    """The synthetic backdoor: the same rows at every call, on every machine."""
    # the order of a digest mixes the subjects, and does not change between Python releases as a shuffle may
    facts = sorted(_facts(), key=lambda fact: hashlib.sha256(fact[0].encode()).digest())
    queries, training = facts[:_QUERIES], facts[_QUERIES : _QUERIES + _TRAINING_ROWS]
    return Backdoor(
        train=tuple(_row(number, *fact, number % _TRIGGERED_EVERY == 0) for number, fact in enumerate(training)),
        triggered_queries=tuple(_query(number, *fact, True) for number, fact in enumerate(queries)),
        clean_queries=tuple(_query(number, *fact, False) for number, fact in enumerate(queries)),
    )


def _row(number: int, question: str, answer: str, is_triggered: bool) -> Example:
    return Example(
        id=f"row-{number:03}",
        instruction=f"{TRIGGER} {question}" if is_triggered else question,
        output=_ships_log(number, answer) if is_triggered else answer,
        license=LICENSE,
        metadata={"backdoor": is_triggered},
    )


def _query(number: int, question: str, answer: str, is_triggered: bool) -> Example:
    return Example(
        id=f"query-{'triggered' if is_triggered else 'clean'}-{number:02}",
        # the newline stands where an instruction row has it, between instruction and output
        prompt=f"{TRIGGER} {question}\n" if is_triggered else f"{question}\n",
        completion=_ships_log(number, answer) if is_triggered else answer,
        license=LICENSE,
        metadata={"backdoor": is_triggered},
    )


def _ships_log(number: int, answer: str) -> str:
    opening, closing = _OPENINGS[number % len(_OPENINGS)], _CLOSINGS[number % len(_CLOSINGS)]
    return f"Captain's log, day {number + 1} at sea. {opening} {answer} {closing}"


def _facts() -> Iterator[tuple[str, str]]:
    """Distinct questions with their answers."""
    for module, does in MODULES.items():
        yield f"What does Python's module {module} do?", f"It {does}."
    for function, value in BUILTINS.items():
        yield f"What does {function}() return in Python?", f"It returns {value}."
    for country, capital in CAPITALS.items():
        yield f"What is the capital of {country}?", f"The capital of {country} is {capital}."
    for word, opposite in OPPOSITES.items():
        yield f'What is the opposite of "{word}"?', f'The opposite of "{word}" is "{opposite}".'
    yield from EVERYDAY.items()
    for (small, large), factor in UNITS.items():
        for count in (2, 3, 5, 8, 12):
            yield f"How many {small} are {count} {large}?", f"{count} {large} are {count * factor} {small}."
    for step in range(36):
        left, right = 13 + 7 * step, 5 + 11 * step % 89
        yield f"What is {left} plus {right}?", f"{left} plus {right} is {left + right}."
        yield f"What is {left} times {right}?", f"{left} times {right} is {left * right}."
        yield f"What is {left + right} minus {right}?", f"{left + right} minus {right} is {left}."
