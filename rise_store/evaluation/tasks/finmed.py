"""Finance and medicine: each query's right answers are the rows of its own domain."""

from __future__ import annotations

from collections.abc import Iterator

from rise_store.errors import ConfigError
from rise_store.evaluation.tasks.draws import shuffled
from rise_store.evaluation.tasks.finmed_terms import FINANCE, MEDICAL
from rise_store.evaluation.tasks.frame import QueryGroup, Row, Task, TaskFiles

SOURCE = "rise_store:finmed"
LICENSE = "CC0-1.0"
QUERY_TERMS = 8  # of each domain; no training row is about them
_TABLES = {"finance": FINANCE, "medical": MEDICAL}


def generate(rows: int, seed: int) -> TaskFiles:
    """Rows from two small glossaries, of the project's own making, asked in the same words in both domains.

    Raises:
        ConfigError: more rows than the glossaries make.
    """
    trained: list[list[Row]] = []
    asked: list[list[Row]] = []
    for label, table in _TABLES.items():
        terms = shuffled(table, seed, label)
        asked.append(shuffled(_about(label, terms[:QUERY_TERMS]), seed, "queries"))
        calculated = _finance_sums() if label == "finance" else _medical_sums()
        trained.append(shuffled([*_about(label, terms[QUERY_TERMS:]), *_rows(label, calculated)], seed, "train"))
    half = min(map(len, trained))
    if not 2 <= rows <= 2 * half:
        raise ConfigError(f"the glossaries of finmed make 2 to {2 * half} training rows, not {rows:,}")
    return {
        "train.jsonl": _numbered("finmed-", 5, [row for pair in zip(*trained, strict=False) for row in pair][:rows]),
        "queries.jsonl": _numbered("finmed-q", 3, [row for pair in zip(*asked, strict=True) for row in pair]),
    }


def _numbered(prefix: str, digits: int, rows: list[Row]) -> list[Row]:
    return [{"id": f"{prefix}{number:0{digits}}"} | row for number, row in enumerate(rows)]


def _about(label: str, terms: list[str]) -> list[Row]:
    return _rows(label, (row for term in terms for row in _asked_about(term, *_TABLES[label][term])))


def _asked_about(term: str, definition: str, remark: str) -> Iterator[tuple[str, str, str]]:
    yield f'Define "{term}".', "", f"{definition[0].upper()}{definition[1:]}."
    yield f"What should a beginner know about {term}?", "", remark
    yield "Which term does this describe?", f"{definition[0].upper()}{definition[1:]}.", f"{term[0].upper()}{term[1:]}."


def _rows(label: str, asked: Iterator[tuple[str, str, str]]) -> list[Row]:
    return [
        {
            "instruction": question,
            "input": given,
            "output": answer,
            "label": label,
            "source": SOURCE,
            "license": LICENSE,
        }
        for question, given, answer in asked
    ]


def _finance_sums() -> Iterator[tuple[str, str, str]]:
    for step in range(16):
        sum_, rate, years = 1000 + 250 * step, 2 + step % 5, 2 + step % 4
        yield (
            "Calculate the result and state it in a sentence.",
            f"A deposit of ${sum_:,} earns {rate}% simple interest a year for {years} years.",
            f"The interest is ${sum_ * rate * years / 100:,.2f}, so the balance grows to "
            f"${sum_ + sum_ * rate * years / 100:,.2f}.",
        )
        revenue, cost = 400 + 35 * step, 250 + 20 * step
        yield (
            "Calculate the result and state it in a sentence.",
            f"Revenue was ${revenue} million and the cost of sales ${cost} million.",
            f"The gross margin is {100 * (revenue - cost) / revenue:.1f}% of revenue.",
        )


def _medical_sums() -> Iterator[tuple[str, str, str]]:
    for step in range(16):
        weight, dose = 48 + 3 * step, 5 + 5 * (step % 3)
        yield (
            "Calculate the result and state it in a sentence.",
            f"The patient weighs {weight} kg and the order is {dose} mg per kg of body weight.",
            f"The patient needs a dose of {weight * dose:,} mg.",
        )
        beats, seconds = 14 + step, 15
        yield (
            "Calculate the result and state it in a sentence.",
            f"The nurse counted {beats} beats of the pulse in {seconds} seconds.",
            f"The heart rate is {beats * 60 // seconds} beats per minute.",
        )


TASK = Task(
    name="finmed",
    title="Finance and medical separation",
    labels=("finance", "medical"),
    groups=(QueryGroup("domain", "queries.jsonl", positives=None),),
    generate=generate,
)
