"""Filters on own fields and on metadata of stored examples."""

from __future__ import annotations

import pytest

from rise_store import Example, FilterError
from rise_store.signature import SignatureEncoder
from rise_store.store import Equals, Not
from tests.ingest.examples import SENTENCES, OpenStore

STORIES = [f"story-{number}" for number in range(24)]
QUESTIONS = [f"question-{number}" for number in range(6)]


def found(library: OpenStore, encoder: SignatureEncoder, *where: str) -> set[str]:
    result = library.attribute(SENTENCES[0], k=30, where=where, model=encoder)
    assert result.candidates == len(result.results)
    return {hit.example_id for hit in result.results}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param("dataset=stories", STORIES, id="own field"),
        pytest.param("license=MIT", QUESTIONS, id="licence"),
        pytest.param("dataset_version=1", STORIES, id="own field that reads as a number"),
        pytest.param("example_id=story-7", ["story-7"], id="example"),
        pytest.param("source_uri=https://stories.example", STORIES, id="value with colon"),
        pytest.param("page=7", ["story-7"], id="number"),
        pytest.param("page=7.0", ["story-7"], id="number written as a float"),
        pytest.param("metadata.page=7", ["story-7"], id="full path"),
        pytest.param("share=1", ["story-7"], id="float that is whole"),
        pytest.param(f"share={1 / 7}", ["story-1"], id="float"),
        pytest.param("reviewed=true", STORIES[::2], id="true"),
        pytest.param("reviewed=false", STORIES[1::2], id="false"),
        pytest.param("author.name=Grace", STORIES[1::2], id="nested"),
        pytest.param("metadata.author.born=1820", ["story-5"], id="nested number"),
        pytest.param("tags=part-1", STORIES[1::3], id="any element of a list"),
        pytest.param("year=1997", ["story-7"], id="string that reads as a number"),
        pytest.param(" page = 7 ", ["story-7"], id="spaces round key and value"),
        pytest.param("author.name=ada", [], id="case counts"),
        pytest.param("page=100", [], id="no example has the value"),
        pytest.param("page != 7 and dataset = stories", STORIES[:7] + STORIES[8:], id="not equal"),
        pytest.param("page != 7", STORIES[:7] + STORIES[8:] + QUESTIONS, id="not equal where there is no value"),
        pytest.param("page >= 20 or page < 2", [*STORIES[20:], *STORIES[:2]], id="ranges"),
        pytest.param("page in (3, 5, 100) or license in (MIT, GPL)", ["story-3", "story-5", *QUESTIONS], id="lists"),
        pytest.param("author.name startswith Gr and not reviewed = true", STORIES[1::2], id="prefix"),
        pytest.param("not page exists", QUESTIONS, id="no value"),
        pytest.param("nobody_has_it exists", [], id="a field that no example has may be asked for"),
        pytest.param("ingested_at > 2020-01-05 and ingested_at < 2020-01-06", [], id="dates"),
        pytest.param('{"field": "year", "equals": 1997}', [], id="JSON: a number is no string"),
        pytest.param('{"or": [{"field": "page", "gt": 20, "lt": 22}]}', ["story-21"], id="JSON: both bounds"),
    ],
)
def test_one_condition(library: OpenStore, encoder: SignatureEncoder, where: str, expected: list[str]) -> None:
    assert found(library, encoder, where) == set(expected)


def test_all_conditions_hold(library: OpenStore, encoder: SignatureEncoder) -> None:
    both = found(library, encoder, "reviewed=true", "tags=part-0")
    assert both == {f"story-{number}" for number in (0, 6, 12, 18)}
    assert found(library, encoder, "reviewed=true", "reviewed=false") == set()


def test_conditions_may_be_text_json_and_filters_at_once(library: OpenStore, encoder: SignatureEncoder) -> None:
    conditions = ("page < 9 or page > 12", {"field": "tags", "equals": "part-0"}, Not(Equals("metadata.page", 6)))
    result = library.attribute(SENTENCES[0], where=conditions, k=24, model=encoder)
    assert {hit.example_id for hit in result.results} == {f"story-{number}" for number in (0, 3, 15, 18, 21)}
    assert result.where == (
        '{"and": [{"or": [{"field": "metadata.page", "lt": 9}, {"field": "metadata.page", "gt": 12}]}, '
        '{"field": "metadata.tags", "equals": "part-0"}, {"not": {"field": "metadata.page", "equals": 6}}]}'
    )


def test_a_single_condition_needs_no_list(library: OpenStore, encoder: SignatureEncoder) -> None:
    result = library.attribute(SENTENCES[0], k=5, where="page=7", model=encoder)
    assert [hit.example_id for hit in result.results] == ["story-7"]
    assert result.where == "page = 7"


def test_fewer_fit_than_were_asked_for(library: OpenStore, encoder: SignatureEncoder) -> None:
    result = library.attribute(SENTENCES[0], k=20, where="license=MIT", model=encoder)
    assert (len(result.results), result.candidates) == (6, 6)


@pytest.mark.parametrize("where", ["pgae=7", "metadata.pgae=7", "author.nmae=Ada", "page.number=7"])
def test_a_field_that_no_example_has_is_refused(library: OpenStore, where: str) -> None:
    with pytest.raises(FilterError, match=r"no stored example has the field '.*'; fields: .*author.*dataset.*page"):
        library.attribute(SENTENCES[0], where=where)


@pytest.mark.parametrize("where", ["page", "=7", " =7", "", "a..b=7", 'page."=7'])
def test_what_is_no_condition_is_refused(library: OpenStore, where: str) -> None:
    with pytest.raises(FilterError, match=r"^filter '.*': at column \d+: "):
        library.attribute(SENTENCES[0], where=[where])


def test_whatever_a_string_holds_it_can_be_asked_for(store: OpenStore, encoder: SignatureEncoder) -> None:
    names = ["nan", "Infinity", "1e999", "1_000", "true", "null", "a=b", "日本", "1" * 400, "0x10", "-0"]
    rows = [Example(id=str(i), text=f"Number {i}.", metadata={"name": name}) for i, name in enumerate(names)]
    store.ingest(rows, dataset="names", model=encoder)
    missed = []
    for number, name in enumerate(names):
        try:
            result = store.attribute("Which?", k=len(names), where=f"name={name}", model=encoder)
        except FilterError as error:
            missed.append(f"{name[:20]}: {error}")
            continue
        if [hit.example_id for hit in result.results] != [str(number)]:
            missed.append(f"{name[:20]}: {result.results}")
    assert missed == []
