"""A text that is stored already costs no forward pass, whatever dataset it is in and however it is kept."""

from __future__ import annotations

import numpy as np
import pytest

from rise_store.profiles import Profile
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, cosine, forward_passes, story_rows


@pytest.mark.parametrize("profile", ["float16", "turbo8", "turbo4"])
def test_another_dataset_takes_the_stored_signatures(
    store: OpenStore, encoder: SignatureEncoder, profile: Profile
) -> None:
    rows = story_rows(6)
    store.ingest(rows, dataset="first", model=encoder, profile=profile)
    for name in ("second", "third"):
        with forward_passes() as ran:
            report = store.ingest(rows, dataset=name, model=encoder)
        assert (ran, report.new, report.shared, report.tokens) == ([], 6, 6, 0)
    first, third = store.dataset("first"), store.dataset("third")
    for key, point in first.items():
        assert point.vector is not None
        assert cosine(point.vector, third[key].vector) == pytest.approx(1, abs=1e-6)  # not rounded any further
        assert point.payload["tokens"] == third[key].payload["tokens"]


def test_a_text_of_many_copies_does_not_hide_the_others(
    store: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = story_rows(8)
    copies = [{"id": f"copy-{number}", "text": rows[number % 2]["text"]} for number in range(60)]
    store.ingest([*copies, *rows[2:]], dataset="first", model=encoder)
    read: list[int] = []
    monkeypatch.setattr("rise_store.ingest.known_signatures.COPIES_READ", 5)
    kind = type(store.backend.open_collection(encoder.fingerprint))
    scroll = kind.scroll

    def counted(*given: object, **more: object) -> object:
        for point in scroll(*given, **more):  # type: ignore[arg-type]
            read.append(1)
            yield point

    monkeypatch.setattr(kind, "scroll", counted)
    with forward_passes() as ran:
        report = store.ingest(rows, dataset="second", model=encoder)
    assert (ran, report.new, report.shared) == ([], 8, 8)
    assert len(read) < 30  # of 66
    monkeypatch.undo()
    first, second = store.dataset("first"), store.dataset("second")
    assert np.array_equal(second["row-0"].vector, first["copy-0"].vector)  # type: ignore[arg-type]
