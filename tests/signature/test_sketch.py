"""CountSketch: what it maps, how its tables are drawn, kept and refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store.errors import SpaceMismatchError
from rise_store.signature import CountSketch, EstimatorConfig, SignatureEncoder, SketchTables
from rise_store.signature.readout import Readout
from rise_store.signature.transform import LogitTransform
from tests.signature import reference
from tests.signature.conftest import SaveModel

CONFIG = EstimatorConfig(kr=12, kh=6, kg=5, seed=3)
HIDDEN, VOCABULARY = 20, 70


@pytest.fixture
def tables() -> SketchTables:
    return SketchTables.draw(HIDDEN, VOCABULARY, CONFIG)


def test_a_sketch_sums_signed_coordinates_by_bucket() -> None:
    sketch = CountSketch(torch.tensor([2, 0, 2, 1]), torch.tensor([1.0, -1.0, -1.0, 1.0]), 3)
    assert sketch.apply(torch.tensor([1.0, 2.0, 4.0, 8.0])).tolist() == [-2.0, 8.0, -3.0]


@settings(max_examples=60, deadline=None, database=None)
@given(n=st.integers(1, 200), width=st.integers(1, 64), seed=st.integers(0, 2**31), factor=st.floats(-8, 8))
def test_a_sketch_is_linear_and_equals_its_matrix(n: int, width: int, seed: int, factor: float) -> None:
    sketch = CountSketch.draw(n, width, seed)
    x, y = torch.randn(2, 3, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    together = sketch.apply(x + factor * y)
    torch.testing.assert_close(together, sketch.apply(x) + factor * sketch.apply(y), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(sketch.apply(x), x @ sketch.matrix().double(), atol=1e-9, rtol=1e-9)


def test_inner_products_survive_on_average() -> None:
    x, y = torch.randn(2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    products = [
        float(sketch.apply(x) @ sketch.apply(y)) for sketch in (CountSketch.draw(40, 16, seed) for seed in range(2000))
    ]
    assert np.mean(products) == pytest.approx(float(x @ y), abs=4 * np.std(products) / 2000**0.5)


@pytest.mark.parametrize("seed", [0, 42, 12345])
def test_tables_are_drawn_buckets_first_from_three_consecutive_seeds(seed: int) -> None:
    config = CONFIG.model_copy(update={"seed": seed})
    tables = SketchTables.draw(HIDDEN, VOCABULARY, config)
    for table, n, width, own_seed in (
        (tables.hidden, HIDDEN, config.kh, seed),
        (tables.error, HIDDEN, config.kg, seed + 1),
        (tables.residual, VOCABULARY, config.kr, seed + 2),
    ):
        expected = reference.draw_table(n, width, own_seed)
        assert table.width == width
        np.testing.assert_array_equal(table.bucket.numpy(), expected.buckets)
        np.testing.assert_array_equal(table.sign.numpy(), expected.signs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_sketched_projected_error_is_a_sum_of_sketched_rows(dtype: torch.dtype) -> None:
    """CS_g(W^T r) = sum over v of r(v) M_g[v], also across the blocks in which M_g is computed."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8192 + 77, HIDDEN, generator=generator).to(dtype)
    r = torch.randn(len(weight), generator=generator, dtype=torch.float64)
    sketch = CountSketch.draw(HIDDEN, 7, 1)
    m_g = Readout(weight, None, LogitTransform()).sketched_weight(sketch)
    assert m_g.dtype == torch.float32
    torch.testing.assert_close(r @ m_g.double(), sketch.apply(weight.double().T @ r), atol=1e-3, rtol=1e-5)


def test_tables_survive_the_round_trip_through_arrays(tables: SketchTables) -> None:
    arrays = tables.arrays()
    assert {name: array.dtype for name, array in arrays.items()} == {
        f"{name}_{part}": dtype
        for name in ("hidden", "error", "residual")
        for part, dtype in (("bucket", np.int32), ("sign", np.int8))
    }
    again = SketchTables.from_arrays(arrays, HIDDEN, VOCABULARY, CONFIG)
    assert again.sha256 == tables.sha256
    for name in ("hidden", "error", "residual"):
        before, after = getattr(tables, name), getattr(again, name)
        assert before.width == after.width
        assert torch.equal(before.bucket, after.bucket)
        assert torch.equal(before.sign, after.sign)
        assert after.bucket.dtype == torch.int64
        assert after.sign.dtype == torch.float32


def test_the_digest_of_tables_changes_with_each_of_them(tables: SketchTables) -> None:
    digests = {tables.sha256}
    for name, array in tables.arrays().items():
        changed = tables.arrays()
        changed[name] = array.copy()
        changed[name][0] = -array[0] if name.endswith("sign") else (array[0] + 1) % 5
        digests.add(SketchTables.from_arrays(changed, HIDDEN, VOCABULARY, CONFIG).sha256)
    assert len(digests) == 7


@pytest.mark.parametrize(
    ("hidden", "vocabulary", "config"),
    [
        (HIDDEN + 1, VOCABULARY, CONFIG),
        (HIDDEN, VOCABULARY - 1, CONFIG),
        (HIDDEN, VOCABULARY, CONFIG.model_copy(update={"kr": 8})),
        (HIDDEN, VOCABULARY, CONFIG.model_copy(update={"kh": 3})),
        (HIDDEN, VOCABULARY, CONFIG.model_copy(update={"kg": 2})),
    ],
)
def test_tables_of_other_dimensions_are_refused(
    hidden: int, vocabulary: int, config: EstimatorConfig, tables: SketchTables
) -> None:
    with pytest.raises(SpaceMismatchError, match="use the model that the store was made with"):
        SketchTables.from_arrays(tables.arrays(), hidden, vocabulary, config)


def test_tables_with_a_part_missing_are_refused(tables: SketchTables) -> None:
    missing = tables.arrays()
    del missing["error_sign"]
    with pytest.raises(SpaceMismatchError):
        SketchTables.from_arrays(missing, HIDDEN, VOCABULARY, CONFIG)


def test_tables_whose_signs_do_not_match_their_buckets_are_refused(tables: SketchTables) -> None:
    cut = tables.arrays()
    cut["residual_sign"] = cut["residual_sign"][:-1]
    with pytest.raises(SpaceMismatchError):
        SketchTables.from_arrays(cut, HIDDEN, VOCABULARY, CONFIG)


def test_an_encoder_uses_the_tables_that_it_is_given(save_model: SaveModel) -> None:
    folder = save_model("llama", 509)
    chunk = [[5, 300, 41, 7, 499]]
    config = EstimatorConfig(kr=32, kh=16, kg=8)
    drawn = SignatureEncoder.from_pretrained(folder, config, device="cpu")
    others = SketchTables.draw(32, 509, config.model_copy(update={"seed": 9}))
    given_others = SignatureEncoder.from_pretrained(folder, config, device="cpu", tables=others.arrays())
    seeded = SignatureEncoder.from_pretrained(folder, config.model_copy(update={"seed": 9}), device="cpu")
    signature = given_others.encode_token_ids(chunk)[0]
    assert reference.cosine(signature, seeded.encode_token_ids(chunk)[0]) >= 0.999999
    assert abs(reference.cosine(signature, drawn.encode_token_ids(chunk)[0])) < 0.5
    with pytest.raises(SpaceMismatchError):
        SignatureEncoder.from_pretrained(save_model("llama", 9001), config, device="cpu", tables=others.arrays())
