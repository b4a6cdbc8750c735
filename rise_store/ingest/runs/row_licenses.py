"""Licences that rows name for themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rise_store.errors import InputError
from rise_store.licenses import canonical_license
from rise_store.records import Example

MOST_LICENSES = 100  # unknown ones that are named


def check_license(example: Example) -> None:
    """`InputError`, without a location, when the row names a licence that SPDX does not know."""
    if _is_unknown(example):
        raise InputError(f"SPDX knows no licence {str(example.license)[:60]!r}; LicenseRef-NAME is one of your own")


def unknown_licenses(examples: Iterable[Example]) -> dict[str, int]:
    """Rows by a licence of their own that SPDX does not know."""
    return most_common(Counter(str(example.license)[:200] for example in examples if _is_unknown(example)))


def most_common(licenses: Mapping[str, int]) -> dict[str, int]:
    """The licences of most rows, as many as are named."""
    return dict(Counter(licenses).most_common(MOST_LICENSES))


def _is_unknown(example: Example) -> bool:
    return example.license is not None and canonical_license(example.license) is None
