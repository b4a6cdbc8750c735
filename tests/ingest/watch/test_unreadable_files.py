"""Files that cannot be read for the moment: they are told, and tried again without having changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore
from tests.ingest.watch.sessions import watching


class Flaky(MemoryFileSystem):
    """A file system that does not open files for a while, and says so in its own way."""

    protocol = "flaky"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in its base class
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    is_down = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("flaky://", "memory://")))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if self.is_down and "r" in mode:
            raise RuntimeError("the server is overloaded")
        return super()._open(path, mode, **options)


@pytest.fixture
def flaky() -> Iterator[Flaky]:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    system = fsspec.filesystem("flaky")
    yield system
    Flaky.is_down = False
    system.store.clear()


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.md", "a.parquet"])
def test_a_file_is_tried_again(
    store: OpenStore, encoder: SignatureEncoder, flaky: Flaky, tmp_path: Path, name: str
) -> None:
    text = "One day the dog found a shiny key."
    content = {"a.jsonl": orjson.dumps({"id": "a", "text": text}) + b"\n", "a.md": text.encode()}
    content["a.csv"] = f"id,text\na,{text}\n".encode()
    if name == "a.parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"id": ["a"], "text": [text]}), tmp_path / name)
        content[name] = (tmp_path / name).read_bytes()
    with flaky.open(f"/watched/{name}", "wb") as file:
        file.write(content[name])
    Flaky.is_down = True
    with watching(store, encoder, "flaky://watched", poll=0.1) as session:
        session.wait(lambda: session.troubles, seconds=20)
        Flaky.is_down = False
        session.wait_for(name if name == "a.md" else "a")
    assert len(session.troubles) == 1
    assert "the server is overloaded" in session.troubles[0]
    assert session.report is not None
    assert (session.report.state, session.report.new, session.report.rejected) == ("COMPLETE", 1, 0)
