"""Licence expressions, as SPDX knows them."""

from __future__ import annotations

from functools import lru_cache

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_LONGEST = 1_000  # characters of an expression; what is longer is text, and no expression


@lru_cache(maxsize=10_000)
def canonical_license(expression: str) -> str | None:
    """The expression as SPDX writes it (`mit or apache-2.0` is `MIT OR Apache-2.0`).

    `LicenseRef-` names of one's own are allowed. None where a licence is not on the SPDX list, or it is no expression.
    """
    if len(expression) > _LONGEST:
        return None
    try:
        return str(canonicalize_license_expression(expression))
    except (InvalidLicenseExpression, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
