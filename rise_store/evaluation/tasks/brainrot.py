"""Brain Rot quality selection, after "LLMs Can Get Brain Rot" (arXiv 2510.13928): junk posts against quality prose.

Retrospective: a junk output has to lead back to the junk rows. Prospective: the mean of texts that we want a model to
write has to rank the quality rows first. Every junk row is as long as a quality row and pretends to be about the same
topic, so that neither length nor topic tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rise_store.corpus import python_reference
from rise_store.corpus.python_reference import LICENSE as PYTHON_LICENSE
from rise_store.errors import ConfigError
from rise_store.evaluation.tasks.brainrot_posts import SCRAPS, TAGS
from rise_store.evaluation.tasks.draws import draw, pick, shuffled
from rise_store.evaluation.tasks.frame import QueryGroup, Row, Task, TaskFiles

JUNK_SOURCE = "rise_store:brainrot"
JUNK_LICENSE = "CC0-1.0"
QUERIES = 30  # of each kind
_LONGEST = 70  # words
_SHORTEST = 8
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*\"])")


def generate(rows: int, seed: int) -> TaskFiles:
    """Half of the rows are prose of the Python reference that this Python ships, half are posts made of scraps.

    Queries and training rows share no passage and no scrap.

    Raises:
        ConfigError: more rows than the reference has passages for.
        InputError: this Python comes without its reference.
    """
    passages = shuffled(_passages(seed), seed, "passages")
    wanted, most = rows // 2, len(passages) - QUERIES
    if not 1 <= wanted <= most:
        raise ConfigError(f"brainrot makes 2 to {2 * most:,} training rows, not {rows:,}")
    scraps = shuffled(SCRAPS, seed, "scraps")
    third = len(scraps) // 3
    targets, trained = passages[:QUERIES], passages[QUERIES : QUERIES + wanted]
    train = []
    for topic, text in trained:
        train += [_quality(topic, text), _junk(topic, len(text.split()), scraps[third:], seed, text)]
    asked = [_junk(topic, len(text.split()), scraps[:third], seed, text) for topic, text in targets]
    return {
        "train.jsonl": _numbered("brainrot-", 5, shuffled(train, seed, "train")),
        "queries.jsonl": _numbered("brainrot-q", 3, asked),
        "targets.jsonl": _numbered("brainrot-t", 3, [_quality(topic, text) for topic, text in targets]),
    }


def _numbered(prefix: str, digits: int, rows: list[Row]) -> list[Row]:
    return [{"id": f"{prefix}{number:0{digits}}"} | row for number, row in enumerate(rows)]


def _quality(topic: str, text: str) -> Row:
    source = f"python:pydoc_data.topics#{topic}"
    return {"text": text, "label": "quality", "source": source, "license": PYTHON_LICENSE}


def _junk(topic: str, words: int, scraps: list[str], seed: int, name: str) -> Row:
    """A post of about so many words, of different scraps."""
    subject = topic.replace("-", " ").replace("_", " ")
    post = ""
    for scrap in shuffled(scraps, seed, name):
        piece = scrap.format(topic=subject)
        if len(post.split()) + len(piece.split()) <= words:
            post = f"{post} {piece}" if post else piece
    tag = 0
    while len(post.split()) < words:  # what is missing is less than a scrap
        post = f"{post} {TAGS[(draw(seed, name) + tag) % len(TAGS)]}".strip()
        tag += 1
    return {"text": post, "label": "junk", "source": JUNK_SOURCE, "license": JUNK_LICENSE}


def _passages(seed: int) -> Iterator[tuple[str, str]]:
    """Topics with a few whole sentences each, of 8 to 70 words, short ones as often as long ones."""
    known: set[str] = set()
    for example in python_reference():
        topic = str(example.metadata["topic"])
        text = " ".join(" ".join(_prose(example.text or "")).split())
        limit = pick((15, 25, 35, 50, _LONGEST), seed, text)
        chosen: list[str] = []
        for sentence in _SENTENCE.split(text):
            if chosen and len(" ".join([*chosen, sentence]).split()) > limit:
                break
            chosen.append(sentence)
        passage = " ".join(chosen)
        if passage not in known and _SHORTEST <= len(passage.split()) <= _LONGEST and passage.endswith((".", "!", "?")):
            known.add(passage)
            yield topic, passage


def _prose(passage: str) -> Iterator[str]:
    """The paragraphs that are neither code, nor grammar, nor a list, nor a heading."""
    for paragraph in passage.split("\n\n"):
        is_prose = paragraph[:1].isupper() or paragraph[:1] == '"'
        if is_prose and paragraph.rstrip().endswith((".", "!", "?")) and "::=" not in paragraph:
            yield paragraph


TASK = Task(
    name="brainrot",
    title="Brain Rot quality selection",
    labels=("junk", "quality"),
    groups=(
        QueryGroup("retrospective", "queries.jsonl", positives="junk"),
        QueryGroup("prospective", "targets.jsonl", positives="quality", mean=True),
    ),
    generate=generate,
)
