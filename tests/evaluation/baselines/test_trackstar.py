"""TrackStar, where bergson is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rise_store import InputError
from rise_store.evaluation.baselines import run_method
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.evaluation.baselines.trackstar import TrackStar
from rise_store.records import Query
from tests.evaluation.baselines.conftest import QUERIES, ROWS

BERGSON = find_spec("bergson") is not None


@pytest.mark.skipif(not BERGSON, reason="bergson is not installed")
@pytest.mark.filterwarnings("ignore")  # of the package
def test_a_row_is_the_best_answer_to_itself(model: LanguageModel, tmp_path: Path) -> None:
    own = [Query(id=row.id, text=row.content) for row in ROWS]
    run = run_method(TrackStar(model, tmp_path, projection=4), ROWS, [*own, *QUERIES])
    assert run.scores.shape == (7, 5)
    np.testing.assert_allclose(np.diag(run.scores[:5]), 1, atol=1e-3)
    assert run.scores[:5].argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert run.bytes_per_row == 4 * 16 * 14  # seven linear layers in each of two blocks


@pytest.mark.skipif(BERGSON, reason="bergson is installed")
def test_without_the_package_the_message_says_what_to_install(model: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pip install bergson"):
        TrackStar(model, tmp_path)
