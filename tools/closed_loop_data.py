"""What the closed loop works on: candidates to train on, targets that may steer the selection, held-out target text."""

from __future__ import annotations

import ast
import hashlib
import random
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from rise_store.corpus import RejectedRow, open_examples, python_reference, synthetic_backdoor
from rise_store.corpus.passages import split_passages
from rise_store.errors import InputError
from rise_store.records import Example

SOURCE = "closed_loop_source"  # metadata field: the part of the mixture that a candidate comes from
FEWEST_WORDS = 30
_SKIPPED = {"site-packages", "test", "tests", "idle_test", "_vendor"}


@dataclass(frozen=True)
class Material:
    """Disjoint texts: none of the held-out ones, nor of the targets, stands among the candidates."""

    candidates: list[Example]
    targets: list[Example]  # that selection may look at
    held_out: list[Example]  # whose loss is reported

    @property
    def sources(self) -> dict[str, int]:
        """Candidates by source."""
        return dict(Counter(source_of(candidate) for candidate in self.candidates))


def source_of(candidate: Example) -> str:
    """The part of the mixture that a candidate comes from; empty where that is not known."""
    return str(candidate.metadata.get(SOURCE, ""))


def packaged_material(candidates: int, targets: int, held_out: int, seed: int = 0) -> Material:
    """From what every installation has: the target domain is the Python language reference.

    Topics of the reference are split by a digest of their names: half are candidates, a tenth targets, the
    rest held out. The other candidates are docstrings of the standard library and of numpy, licences of installed
    packages, and the rows of the synthetic backdoor. Every source has an equal part, as far as it reaches.
    """
    parts: dict[str, list[Example]] = {"candidates": [], "targets": [], "held_out": []}
    for example in python_reference():
        parts[_part_of_topic(str(example.metadata["topic"]))].append(example)
    library = Path(sysconfig.get_path("stdlib"))
    numpy = Path(find_spec("numpy").origin).parent  # type: ignore[union-attr, arg-type]
    shuffled = random.Random(seed)
    pools = {
        "reference": (example.content for example in parts["candidates"]),
        "library": _docstrings(library, candidates, shuffled),
        "numpy": _docstrings(numpy, candidates, shuffled),
        "licences": _licences(),
        "instructions": (example.content for example in synthetic_backdoor().train),
    }
    mixture = []
    for name, texts in pools.items():
        found = list(dict.fromkeys(texts))
        shuffled.shuffle(found)
        mixture.append([Example(text=text, metadata={SOURCE: name}) for text in found])
    for part in ("targets", "held_out"):
        shuffled.shuffle(parts[part])
    return _disjoint(_level(mixture, candidates), parts["targets"][:targets], parts["held_out"][:held_out])


def material_of_files(
    candidates: str,
    targets: str,
    *,
    most_candidates: int,
    most_targets: int,
    most_held_out: int,
    source_field: str | None = None,
    targets_where: str | None = None,
    seed: int = 0,
) -> Material:
    """From files in any format that `rise-store ingest` reads; the targets are split at random into the two parts.

    Args:
        candidates: file, folder or address.
        targets: the same, of the target domain.
        most_candidates: at most so many, at random.
        most_targets: at most so many, and no more than half of them.
        most_held_out: at most so many of the rest.
        source_field: field of the candidates' rows that names their part of the mixture.
        targets_where: FIELD=VALUE that the targets' rows must have.
        seed: of both.

    Raises:
        InputError: a row that cannot be used, or fewer than two targets.
    """
    shuffled = random.Random(seed)
    rows = _examples(candidates)
    shuffled.shuffle(rows)
    pool = [
        row.model_copy(update={"metadata": {SOURCE: str(row.metadata.get(source_field, "")) if source_field else ""}})
        for row in rows[:most_candidates]
    ]
    wanted = _examples(targets)
    if targets_where is not None:
        field, found, value = targets_where.partition("=")
        if not found:
            raise InputError(f"--targets-where {targets_where}: write FIELD=VALUE")
        wanted = [row for row in wanted if str(row.metadata.get(field)) == value]
    if len(wanted) < 2:
        raise InputError(f"{targets}: {len(wanted)} targets; at least two are needed, one of them held out")
    shuffled.shuffle(wanted)
    few = min(most_targets, len(wanted) // 2)
    return _disjoint(pool, wanted[:few], wanted[few : few + most_held_out])


def _examples(source: str) -> list[Example]:
    examples = []
    for row in open_examples([source]):
        if isinstance(row, RejectedRow):
            raise InputError(row.reason)
        examples.append(row)
    return examples


def _level(pools: list[list[Example]], count: int) -> list[Example]:
    """So many examples, the same number of each pool as far as it reaches, in turn."""
    longest = max(map(len, pools))
    in_turn = (pool[number] for number in range(longest) for pool in pools if number < len(pool))
    return [example for example, _ in zip(in_turn, range(count), strict=False)]


def _disjoint(candidates: list[Example], targets: list[Example], held_out: list[Example]) -> Material:
    seen = {example.content_sha256 for example in (*targets, *held_out)}
    kept: dict[str, Example] = {}
    for candidate in candidates:
        if candidate.content_sha256 not in seen:
            kept.setdefault(candidate.content_sha256, candidate)
    of_targets = {example.content_sha256 for example in targets}
    return Material(
        list(kept.values()), targets, [example for example in held_out if example.content_sha256 not in of_targets]
    )


def _part_of_topic(topic: str) -> str:
    number = hashlib.sha256(topic.encode()).digest()[0] % 10
    return "candidates" if number < 5 else "targets" if number == 5 else "held_out"


def _docstrings(folder: Path, most: int, order: random.Random) -> Iterator[str]:
    """Passages of the docstrings of a package, which is not imported: at least so many, of files in a random order."""
    files = sorted(path for path in folder.rglob("*.py") if not _SKIPPED & set(path.relative_to(folder).parts))
    order.shuffle(files)
    left = most
    while files and left > 0:
        try:
            tree = ast.parse(files.pop().read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for text in _long_enough(split_passages(ast.get_docstring(node) or "")):
                    left -= 1
                    yield text


def _licences() -> Iterator[str]:
    for distribution in sorted(metadata.distributions(), key=lambda one: str(one.metadata["Name"])):
        for file in distribution.files or ():
            if Path(file).name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
                try:
                    text = file.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError):
                    continue
                yield from _long_enough(split_passages(text))


def _long_enough(texts: Iterable[str]) -> Iterator[str]:
    return (text.strip() for text in texts if len(text.split()) >= FEWEST_WORDS)
