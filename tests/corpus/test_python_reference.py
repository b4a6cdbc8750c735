from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rise_store.corpus import DEMO_QUESTIONS, python_reference
from rise_store.corpus.passages import MAX_CHARACTERS, split_passages
from rise_store.errors import InputError

LONG = "This sentence is here to give the paragraph some length of its own. " * 5

PAGE = f"""The "with" statement
********************

{LONG}

   with_stmt ::= "with" item
   item      ::= expression

{LONG}

The following code:

   with EXPRESSION:

       SUITE

   done()

New in version 3.1: An addition.


Short section
=============

Few words.


Last section
------------

object.__len__(self)

   {LONG}

-[ Footnotes ]-

[1] A note.
"""


def test_passages_stand_under_their_heading_and_keep_code_together() -> None:
    grammar, code, last = split_passages(PAGE)
    long = LONG.strip()
    assert grammar == f'The "with" statement\n\n{long}\n\n   with_stmt ::= "with" item\n   item      ::= expression'
    assert code == (
        f'The "with" statement\n\n{long}\n\n'
        "The following code:\n\n   with EXPRESSION:\n\n       SUITE\n\n   done()\n\n"
        "New in version 3.1: An addition."
    )
    assert last == f"Short section\n\nFew words.\n\nLast section\n\nobject.__len__(self)\n\n   {long}\n\n[1] A note."


def test_a_block_above_the_limit_is_cut_at_line_ends() -> None:
    rows = [f"| row {number:03} | {'x' * 40} |" for number in range(60)]
    passages = split_passages("The table is as follows:\n\n" + "\n".join(["+-----+", *rows, "+-----+"]))
    assert passages[0].startswith("The table is as follows:\n\n+-----+\n| row 000")
    assert "\n".join(passages).count("| row") == 60
    assert all(len(passage) <= MAX_CHARACTERS for passage in passages)


@given(st.lists(st.tuples(st.integers(0, 8), st.lists(st.text("ab(:", min_size=1, max_size=200), min_size=1))))
def test_no_word_of_a_page_is_lost_or_repeated(paragraphs: list[tuple[int, list[str]]]) -> None:
    page = "\n\n".join("\n".join(" " * indent + line for line in lines) for indent, lines in paragraphs)
    passages = split_passages(page)
    assert " ".join(passages).split() == page.split()
    assert all(passage == passage.rstrip() and passage for passage in passages)


def test_the_installed_reference_gives_hundreds_of_distinct_passages() -> None:
    examples = python_reference()
    assert 500 < len(examples) < 1500
    assert len({example.id for example in examples}) == len({example.text for example in examples}) == len(examples)
    sizes = sorted(len(example.content) for example in examples)
    assert sizes[len(sizes) // 20] > 200
    assert sizes[-1] < MAX_CHARACTERS + 100
    assert not any(re.search(r"^(\*\*+|==+|-\[.*)$", example.content, re.MULTILINE) for example in examples)
    assert python_reference() == examples


def test_an_example_says_where_it_comes_from() -> None:
    example = next(example for example in python_reference() if example.id == "with-0000")
    assert example.content.startswith('The "with" statement\n\nThe "with" statement is used to wrap')
    assert example.license == "PSF-2.0"
    assert example.source_uri == "python:pydoc_data.topics#with"
    assert example.metadata == {"topic": "with", "part": 0}


def test_code_is_not_torn_from_the_installed_reference() -> None:
    (passage,) = [example for example in python_reference() if "enter = type(manager).__enter__\n" in example.content]
    assert "exit(manager, None, None, None)" in passage.content
    assert passage.metadata["topic"] == "with"


def test_equal_passages_belong_to_the_shortest_page() -> None:
    own, shared = f"Own\n***\n\n{LONG}", f"Shared\n******\n\n{LONG}"
    examples = python_reference({"all": f"{own}\n\n{shared}", "shared": shared, "shared-too": shared})
    assert [(example.id, example.text) for example in examples] == [
        ("all-0000", f"Own\n\n{LONG.strip()}"),
        ("shared-0000", f"Shared\n\n{LONG.strip()}"),
    ]
    page = 'The "if" statement\n******************\n\nIt chooses.'
    assert [example.id for example in python_reference({"else": page, "if": page})] == ["if-0000"]


def test_a_python_without_the_reference_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(InputError, match=r"without pydoc_data\.topics.*install the full standard library"):
        python_reference()


def test_demo_questions_ask_about_topics_that_are_there() -> None:
    topics = {example.metadata["topic"] for example in python_reference()}
    assert len(DEMO_QUESTIONS) >= 6
    assert len({question.prompt for question in DEMO_QUESTIONS}) == len(DEMO_QUESTIONS)
    for question in DEMO_QUESTIONS:
        assert topics.issuperset(question.topics)
        assert len(question.completion.split(". ")) >= 2
        assert not any(question.completion.strip() in example.content for example in python_reference())
