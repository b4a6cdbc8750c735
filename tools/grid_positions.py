"""One pass of a model over texts: what each token position gives to a signature, kept so that it can be weighed anew.

The factors of DESIGN section 2, step 5 take 1.0 KB a position (float16, unit length, their lengths apart), so that
signatures under any weighting of positions are sums over an array, without the model.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rise_store.records import EstimatorConfig, Query
from rise_store.signature import QueryChunks, SignatureEncoder, load_model
from rise_store.signature.backbone import TransformersBackbone, make_readout
from rise_store.signature.channels import EPSILON, Channels
from rise_store.signature.windows import length_batches

Array = npt.NDArray[Any]
Item = TypeVar("Item")

SHARP = EstimatorConfig(position_weighting="residual")  # the published temperature, 0.1
SMOOTH = EstimatorConfig(position_weighting="residual", tau=1.0)  # the model's own probabilities
BLOCK = 250  # texts in a file
CACHED_ROWS = 64  # positions whose logits fit into a cache


@dataclass(frozen=True)
class Positions:
    """The T positions that count of the C chunks of n texts, in the order of the texts."""

    chunks: Array  # (n,) chunks of each text
    lengths: Array  # (C,) positions of each chunk
    targets: Array  # (T,) int32, the tokens predicted
    hidden: Array  # (T, kh) float16, sketched hidden states of unit length
    residual: Array  # (T, kr) float16, sketched residuals at tau 0.1, of unit length
    error: Array  # (T, kg) float16, sketched projected errors at tau 0.1, of unit length
    smooth_residual: Array  # the same at tau 1; (T, 0) where they were not asked for
    smooth_error: Array
    residual_length: Array  # (T,) float32, lengths of the sketches
    error_length: Array
    smooth_residual_length: Array
    smooth_error_length: Array
    hidden_length: Array  # (T,) float32, |h|
    loss: Array  # (T,) float32, -log p(y) in nats over the whole vocabulary at tau 1
    sharp_loss: Array  # (T,) float32, the same at tau 0.1: how far y's logit is below the largest, over tau
    entropy: Array  # (T,) float32, nats, at tau 1
    gradient_length: Array  # (T,) float32, |p - onehot(y)|, likewise

    def save(self, path: Path) -> None:
        """Write every array to one `.npz`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **{field.name: getattr(self, field.name) for field in fields(self)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Positions:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    @classmethod
    def joined(cls, parts: Sequence[Positions]) -> Positions:
        """The positions of several sets of texts, one after the other."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})


def _whole(windows: list[list[int]]) -> QueryChunks:
    return QueryChunks(windows, [1] * len(windows))


def model_identity(model: str | Path) -> str:
    """The name of a model of the hub; of files, where they are, with the size and the time of change of each."""
    path = Path(model)
    if not path.exists():
        return str(model)
    files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    return repr([str(path.resolve()), *((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in files)])


class PositionPass:
    """Runs a model over texts and queries, and keeps in a folder what it gave."""

    def __init__(
        self,
        model: str | Path,
        dtype: str,
        device: str,
        cache: Path,
        *,
        smooth: bool = False,
        identity: str | None = None,
    ) -> None:
        """`identity` tells the model from others in the cache; by default `model_identity` does."""
        self._model, self._dtype, self._device, self._cache, self._smooth = model, dtype, device, cache, smooth
        self._identity = model_identity(model) if identity is None else identity
        self._parts: tuple[SignatureEncoder, TransformersBackbone, Factory] | None = None

    def of_texts(self, name: str, texts: Sequence[str]) -> Positions:
        """Positions of examples, each a text that is cut into windows."""
        return self._of(name, list(texts), lambda encoder, some: [_whole(parts) for parts in encoder.chunks(some)])

    def of_queries(self, name: str, queries: Sequence[Query]) -> Positions:
        """Positions of queries, those of prompts left out."""
        return self._of(name, list(queries), lambda encoder, some: encoder.query_chunks(some))

    def _of(
        self, name: str, items: list[Item], chunked: Callable[[SignatureEncoder, list[Item]], Sequence[QueryChunks]]
    ) -> Positions:
        """Block by block, each a file: a run that was cut off goes on, and one over fewer texts shares them."""
        parts = []
        for start in range(0, len(items), BLOCK):
            block = items[start : start + BLOCK]
            path = self._path(name, block)
            if not path.exists():
                label = f"{name} {start + 1} to {start + len(block)} of {len(items)}"
                self._run(chunked(self._load()[0], block), label).save(path)
            parts.append(Positions.load(path))
        return Positions.joined(parts)

    def _path(self, name: str, items: Sequence[object]) -> Path:
        key = repr([self._identity, self._dtype, SHARP.model_dump(), self._smooth, items])
        return self._cache / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"

    def _load(self) -> tuple[SignatureEncoder, TransformersBackbone, Factory]:
        if self._parts is None:
            loaded = load_model(self._model, dtype=self._dtype, device=self._device)
            encoder = SignatureEncoder(loaded, SHARP)
            self._parts = encoder, TransformersBackbone(loaded), Factory(loaded.model, encoder, self._smooth)
        return self._parts

    @torch.inference_mode()
    def _run(self, texts: Sequence[QueryChunks], name: str) -> Positions:
        encoder, backbone, factory = self._load()
        chunks = [chunk for text in texts for chunk in text.chunks]
        starts = [start for text in texts for start in text.loss_start]
        lengths = np.array([len(chunk) - start for chunk, start in zip(chunks, starts, strict=True)])
        first = np.cumsum(lengths) - lengths
        kept: dict[str, Array] = {}
        done, tokens, began = 0, sum(map(len, chunks)), time.monotonic()
        for batch in length_batches([len(chunk) for chunk in chunks], encoder.batch_tokens):
            states = backbone.hidden_states([chunks[i] for i in batch])  # (B, L, D)
            hidden = torch.cat([row[starts[i] - 1 : len(chunks[i]) - 1] for row, i in zip(states, batch, strict=True)])
            targets = torch.tensor([token for i in batch for token in chunks[i][starts[i] :]])
            places = np.concatenate([np.arange(first[i], first[i] + lengths[i]) for i in batch])
            for key, values in factory(hidden, targets.to(hidden.device)).items():
                array = values.cpu().numpy()
                kept.setdefault(key, np.empty((int(lengths.sum()), *array.shape[1:]), array.dtype))[places] = array
            done += sum(len(chunks[i]) for i in batch)
            rate = done / (time.monotonic() - began)
            print(f"\r{name}: {done:,} of {tokens:,} tokens, {rate:,.0f} tokens/s", end="", file=sys.stderr)
        print(file=sys.stderr)
        return Positions(chunks=np.array([len(text.chunks) for text in texts]), lengths=lengths, **kept)


class Factory:
    """Hidden states and next tokens -> the arrays of `Positions`."""

    def __init__(self, model: Any, encoder: SignatureEncoder, smooth: bool) -> None:
        self._readout = make_readout(model)
        with torch.inference_mode():
            self._sharp = Channels(self._readout, encoder.tables, SHARP)
            self._smooth = Channels(self._readout, encoder.tables, SMOOTH) if smooth else None

    def __call__(self, hidden: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The arrays of T positions, (T, D) and (T,) -> by name."""
        blocks = [self._block(logits, targets[rows]) for rows, logits in self._readout.blocks(hidden)]
        joined = {key: torch.cat([block[key] for block in blocks]) for key in blocks[0]}
        return joined | {
            "targets": targets.to(torch.int32),
            "hidden": self._sharp.sketch_hidden(hidden).to(torch.float16),
            "hidden_length": hidden.to(torch.float32).norm(dim=1),
        }

    def _block(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        found = {}
        for prefix, channels in (("", self._sharp), ("smooth_", self._smooth)):
            none = torch.empty(len(logits), 0, device=logits.device)
            sketches = (none, none) if channels is None else channels.sketch_errors(logits, targets)
            for key, sketch in zip(("residual", "error"), sketches, strict=True):
                length = sketch.norm(dim=1).clamp(min=EPSILON)
                found[f"{prefix}{key}"] = (sketch / length.unsqueeze(1)).to(torch.float16)
                found[f"{prefix}{key}_length"] = length
        return found | self._of_vocabulary(logits, targets)

    def _of_vocabulary(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Over all V entries: the losses, the entropy and the exact length of the gradient by the logits."""
        parts = []
        for raw, y in zip(torch.split(logits, CACHED_ROWS), torch.split(targets, CACHED_ROWS), strict=True):
            log_p = self._readout.transform(raw.to(torch.float32, copy=True)).log_softmax(dim=1)  # (T, V)
            loss = -log_p.gather(1, y.unsqueeze(1)).squeeze(1)  # (T,)
            sharp_loss = (log_p / SHARP.tau).logsumexp(dim=1) + loss / SHARP.tau
            p = log_p.exp()
            squared = p.square().sum(dim=1) - 2 * torch.exp(-loss) + 1  # |p - onehot(y)|^2
            parts.append(torch.stack([loss, sharp_loss, -(p * log_p).sum(dim=1), squared.clamp(min=0).sqrt()]))
        return dict(zip(("loss", "sharp_loss", "entropy", "gradient_length"), torch.cat(parts, dim=1), strict=True))
