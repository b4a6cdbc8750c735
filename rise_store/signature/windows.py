"""Token ids -> chunks, and the order in which chunks are batched (DESIGN section 2, steps 7 and 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rise_store.records import EstimatorConfig


def chunk_windows(ids: Sequence[int], config: EstimatorConfig) -> list[list[int]]:
    """Windows of `chunk_size` tokens that overlap by `chunk_overlap`; windows under 2 tokens are dropped."""
    if len(ids) <= config.chunk_size:
        return [list(ids)] if len(ids) >= 2 else []
    stride = config.chunk_size - config.chunk_overlap
    windows = (list(ids[start : start + config.chunk_size]) for start in range(0, len(ids), stride))
    return [window for window in windows if len(window) >= 2]


def covered_tokens(chunks: Sequence[Sequence[int]], config: EstimatorConfig) -> int:
    """Tokens of the text that these windows cover, each counted once."""
    stride = config.chunk_size - config.chunk_overlap
    return (len(chunks) - 1) * stride + len(chunks[-1]) if chunks else 0


def completion_start(prompt_tokens: int, tokens: int) -> int:
    """Index of the first token whose prediction counts in a prompt with its completion."""
    return max(1, min(prompt_tokens, tokens - 1))


def length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Batches of chunk indices, neighbours in length, each at most `batch_tokens` with its padding.

    Chunks of like length share a batch, so that padding is a few per cent at most; a chunk that is longer than
    `batch_tokens` travels alone. The longest come first: what needs most memory is met at once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
