"""RISE under the protocol of the other methods."""

from __future__ import annotations

import numpy as np
import pytest

from rise_store.evaluation.baselines import run_method
from rise_store.evaluation.baselines.rise import Rise
from rise_store.records import EstimatorConfig, Storage
from rise_store.retrieval import Preconditioner
from rise_store.signature import LoadedModel, SignatureEncoder
from tests.evaluation.baselines.conftest import QUERIES, ROWS
from tests.ingest.examples import quick_folder


@pytest.fixture(scope="module")
def encoder(loaded: LoadedModel) -> SignatureEncoder:
    return SignatureEncoder(loaded, EstimatorConfig(kr=16, kh=8, kg=28))


def test_scores_are_products_of_signatures(encoder: SignatureEncoder) -> None:
    with quick_folder() as folder:
        run = run_method(Rise(encoder, folder / "store"), ROWS, QUERIES)
    expected = encoder.encode_queries(QUERIES).signatures @ encoder.encode(ROWS).signatures.T
    np.testing.assert_allclose(run.scores, expected, atol=2e-3)
    assert run.bytes_per_row == 704


def test_options_reach_the_search_and_storage_the_store(encoder: SignatureEncoder) -> None:
    turbo8 = Storage(vectors="turbo8")
    with quick_folder() as folder:
        method = Rise(encoder, folder / "store", name="rise-turbo8", storage=turbo8, precondition=0.1)
        run = run_method(method, ROWS, QUERIES)
    rows = encoder.encode(ROWS).signatures
    preconditioned = Preconditioner.from_rows(rows, 0.1)(encoder.encode_queries(QUERIES).signatures)
    np.testing.assert_allclose(run.scores, preconditioned @ rows.T, atol=0.02)
    assert run.bytes_per_row == 352
    assert method.name == "rise-turbo8"
