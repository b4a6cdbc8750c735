"""The payload layout, field names, and the ids of points."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_examples import make_payload

from rise_store.errors import FilterError, InputError
from rise_store.records import ChannelNorms
from rise_store.store import OWN_FIELDS, build_payload, point_id, resolve_field
from rise_store.store.json_values import MAX_DEPTH, decode, encode
from rise_store.store.paths import engine_path, join_path, parse_path


def test_a_payload_lists_what_is_known_and_leaves_out_the_rest() -> None:
    payload = build_payload(
        example_id="row-1",
        dataset="books",
        content_sha256="00ff",
        run_id="run-1",
        ingested_at="2026-01-01T00:00:00Z",
        tokens=12,
        chunks=1,
        channel_norms=ChannelNorms(rh=0.1 + 0.2, gh=0.9),
        license="CC-BY-4.0",
        metadata={"backdoor": True, "a": {"b": False, "c": 1}, "votes": [True, "x", True], "k.e": True},
    )
    assert payload == {
        "example_id": "row-1",
        "dataset": "books",
        "content_sha256": "00ff",
        "run_id": "run-1",
        "ingested_at": "2026-01-01T00:00:00Z",
        "tokens": 12,
        "chunks": 1,
        "channel_norms": {"rh": 0.3, "gh": 0.9},
        "license": "CC-BY-4.0",
        "metadata": {"backdoor": True, "a": {"b": False, "c": 1}, "votes": [True, "x", True], "k.e": True},
        "flags": ['metadata."k.e"=true', "metadata.a.b=false", "metadata.backdoor=true", "metadata.votes=true"],
    }


def test_a_payload_without_booleans_has_no_flags() -> None:
    assert "flags" not in make_payload(1, metadata={"a": 1, "list_of_objects": [{"deep": True}], "nested": [[True]]})
    assert "metadata" not in make_payload(1, metadata={})


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"a": {"b": float("nan")}}, r"metadata\.a\.b is nan"),
        ({"a": [1.0, float("-inf")]}, r"metadata\.a is -inf"),
        ({"a": 2**64}, "more than 64 bits"),
        ({"a": -(2**63) - 1}, "more than 64 bits"),
        ({"a": b"bytes"}, r"metadata\.a is a bytes"),
        ({"a": (1, 2)}, r"metadata\.a is a tuple"),
        ({1: 2}, "metadata has the key 1"),
        ({"a": "\ud800"}, r"metadata\.a holds a lone surrogate"),
        ({"\ud800": 1}, "a key of .*metadata holds a lone surrogate"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(metadata: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=f"example 'row-1' of dataset 'books': .*({problem})"):
        make_payload(1, metadata=metadata)


def test_a_text_with_a_lone_surrogate_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"row-1.*text holds a lone surrogate at character 2"):
        make_payload(1, text="ab\udfff")


def test_nesting_is_refused_before_the_engine_could_no_longer_read_it() -> None:
    def nested(levels: int) -> dict[str, object]:
        value: dict[str, object] = {}
        for _ in range(levels - 1):
            value = {"a": value}
        return value

    make_payload(1, metadata=nested(MAX_DEPTH - 1))
    with pytest.raises(InputError, match=r"row-1.*nested deeper than 100 levels"):
        make_payload(1, metadata=nested(MAX_DEPTH + 1))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["metadata", "text", "x"]), JSON))
def test_encoding_is_undone_exactly(payload: dict[str, object]) -> None:
    assert repr(decode(dict(encode(payload, "example")))) == repr(payload)  # 1 == 1.0 == True, but not here


class TestFieldNames:
    @pytest.mark.parametrize("field", OWN_FIELDS)
    def test_own_fields_mean_themselves(self, field: str) -> None:
        assert resolve_field(field) == field

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("metadata.topic", "metadata.topic"),
            ("topic", "metadata.topic"),
            ("a.b", "metadata.a.b"),
            ('"a.b"', 'metadata."a.b"'),
            ('metadata."a.b".c', 'metadata."a.b".c'),
            ("dataset.name", "metadata.dataset.name"),
            ("sp ace", 'metadata."sp ace"'),
        ],
    )
    def test_others_lie_in_the_metadata(self, name: str, path: str) -> None:
        assert resolve_field(name) == path

    @pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", '"a', '"a"b', '"\\x"'])
    def test_what_is_no_path_is_refused(self, name: str) -> None:
        with pytest.raises(FilterError, match="is not a field"):
            resolve_field(name)

    @given(st.lists(st.text(max_size=6), min_size=1, max_size=4).map(tuple))
    def test_every_sequence_of_keys_has_one_spelling(self, keys: tuple[str, ...]) -> None:
        assert parse_path(join_path(keys)) == keys

    def test_keys_that_the_engine_cannot_spell_are_refused(self) -> None:
        for path in ('metadata.q"uote', "metadata.back\\slash"):
            with pytest.raises(FilterError, match="holds a quote or a backslash"):
                engine_path(path)


class TestPointIds:
    def test_are_the_same_for_ever(self) -> None:
        # If this changes, every stored example gets a second row at the next ingestion.
        assert point_id("5ace", "books", "row-1") == UUID("02cbe13a-9f1c-5234-b0ef-d13c0cb3249a")

    @given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)), unique=True, max_size=20))
    def test_differ_for_different_examples(self, names: list[tuple[str, str, str]]) -> None:
        assert len({point_id(*name) for name in names}) == len(names)

    def test_do_not_depend_on_where_a_name_ends(self) -> None:
        assert point_id("s", "a/b", "c") != point_id("s", "a", "b/c")
        assert point_id("s", 'a","b', "c") != point_id("s", "a", 'b","c')
