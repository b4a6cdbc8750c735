"""Signatures as arrays in a file, without a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rise_store.corpus import ExampleReader, RejectedRow, open_examples
from rise_store.errors import InputError
from rise_store.records import SignatureFile
from rise_store.whole_files import check_writable, whole_file

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


def write_signatures(
    corpus: str | Path | ExampleReader,
    out: Path,
    encoder: SignatureEncoder,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> SignatureFile:
    """Encode a corpus into an .npz of `ids` (n) and `signatures` (n, dim) float32, rows of unit length.

    Texts under 2 tokens are left out and counted. The file appears whole or not at all.

    Args:
        corpus: a file, a folder, or whatever else `open_sources` takes; or a reader.
        out: file to write.
        encoder: computes the signatures.
        progress: is told tokens done and tokens in all.

    Raises:
        InputError: a row that cannot be used, or an `out` that cannot be written.
    """
    check_writable(out)
    ids, chunks, too_short = [], [], 0
    reader = corpus if isinstance(corpus, ExampleReader) else open_examples([corpus])
    reader.render_chat = encoder.render_chat
    for row in reader:
        if isinstance(row, RejectedRow):
            raise InputError(row.reason)
        (parts,) = encoder.chunks([row.content])
        reason = encoder.unencodable(parts)
        if not parts:
            too_short += 1
        elif reason is not None:
            raise InputError(f"{row.location}: {reason}")
        else:
            ids.append(row.key)
            chunks.append(parts)
    total = sum(len(chunk) for parts in chunks for chunk in parts)
    done = 0

    def on_batch(tokens: int) -> None:
        nonlocal done
        done += tokens
        if progress is not None:
            progress(done, total)

    signatures = encoder.encode_chunks(chunks, progress=on_batch).signatures
    with whole_file(out) as draft, draft.open("wb") as file:
        np.savez(file, ids=np.array(ids, dtype=np.str_), signatures=signatures)
    return SignatureFile(path=str(out), signatures=len(ids), dim=encoder.dim, too_short=too_short, tokens=total)
