from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="package", autouse=True)
def scripts() -> Iterator[None]:
    """The scripts in tools/ can be imported, as they import each other."""
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))
