"""Examples -> signatures, with one loaded model."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from rise_store.errors import ConfigError, InputError, ModelError, SignatureError
from rise_store.records import EstimatorConfig, Example, Query, Space
from rise_store.signature.agreement import require_agreement
from rise_store.signature.backbone import Backbone, TransformersBackbone, make_readout, probe
from rise_store.signature.channels import EPSILON, Channels
from rise_store.signature.chat import render_chat
from rise_store.signature.fingerprint import model_fingerprint, space_fingerprint
from rise_store.signature.loading import LoadedModel, load_model
from rise_store.signature.loss_gradient import LossGradient, loss_gradient
from rise_store.signature.memory import keep_freed_blocks, own_pages
from rise_store.signature.positions import PositionFactors
from rise_store.signature.sketch import SketchTables
from rise_store.signature.vllm_backbone import start_vllm
from rise_store.signature.windows import chunk_windows, completion_start, covered_tokens, length_batches
from rise_store.spaces import require_same_space
from rise_store.version import __version__

Array = npt.NDArray[np.float32]
Progress = Callable[[int], None]  # is told how many tokens were just encoded
ModelBackend = Literal["transformers", "vllm"]
_TOO_SHORT = "fewer than 2 tokens"
_REMEDY = "; give a longer text, or a completion that begins with a space"

# Tokens of a batch. On CPU small batches stay in the cache and large ones share each layer's fixed cost, which weighs
# more where bfloat16 makes products cheap; measured in docs/benchmarks.md.
BATCH_TOKENS = {("cpu", "float32"): 1024, ("cpu", "bfloat16"): 2048, ("cpu", "float16"): 1024}
BATCH_TOKENS_GPU = 16384
BATCH_TOKENS_ELSEWHERE = 32768  # another backbone makes batches of its own; hidden states of these fit into memory


@dataclass(frozen=True)
class Signatures:
    """Signatures of n examples."""

    signatures: Array  # (n, kh * (kr + kg)), unit length
    channel_norms: Array  # (n, 2): lengths of the RH and GH parts; their squares add up to 1
    token_counts: npt.NDArray[np.int64]  # (n,) tokens of each example, special tokens included
    chunk_counts: npt.NDArray[np.int64]  # (n,)

    def __len__(self) -> int:
        return len(self.signatures)


@dataclass(frozen=True)
class QueryChunks:
    """A query as it is encoded."""

    chunks: list[list[int]]  # token ids
    loss_start: list[int]  # for each chunk, the first token whose prediction counts
    cut: bool = False  # its prompt alone is as long as a query may be: what counts is no token of its completion


class SignatureEncoder:
    """Computes signatures with one model, in one signature space."""

    def __init__(
        self,
        loaded: LoadedModel,
        config: EstimatorConfig | None = None,
        *,
        tables: Mapping[str, npt.NDArray[Any]] | None = None,
        batch_tokens: int | None = None,
        backbone: Backbone | None = None,
        readout_device: torch.device | None = None,
    ) -> None:
        """Wrap a loaded model, after checking that its readout reproduces its logits.

        Args:
            loaded: the model, from `rise_store.signature.loading.load_model`.
            config: estimator settings; the published defaults if None.
            tables: sketch tables that were kept with a collection; drawn from the seed if None.
            batch_tokens: tokens of a batch, padding included; picked for the device and dtype if None.
            backbone: runs the transformer in the model's stead, such as `VllmBackbone`, once it was found to agree
                with it; the model is then needed no more.
            readout_device: where the readout works; where the model's LM head is if None.

        Raises:
            ModelError: the probe fails, the model is not causal, or `backbone` does not agree with it.
            SpaceMismatchError: the tables do not fit the model.
        """
        if loaded.device.type == "cpu":
            keep_freed_blocks()
        self.config = config or EstimatorConfig()
        self.reference = loaded.reference
        self.tokenizer = loaded.tokenizer
        readout = make_readout(loaded.model)
        own = TransformersBackbone(loaded)
        self.probe_error = probe(own, readout, loaded.reference.name)
        if backbone is not None:
            self.probe_error = require_agreement(backbone, own, readout, loaded.reference.name)
        self._backbone: Backbone = backbone or own
        self._readout = readout if readout_device is None else readout.to(readout_device)
        v, d = self._readout.vocabulary_size, self._readout.hidden_size
        if tables is None:
            self.tables = SketchTables.draw(d, v, self.config)
        else:
            self.tables = SketchTables.from_arrays(tables, d, v, self.config)
        with torch.inference_mode():
            self._channels = Channels(self._readout, self.tables, self.config)
        self._architecture = type(loaded.model).__name__
        self._model_fingerprint = model_fingerprint(loaded, self._readout)
        self.fingerprint = space_fingerprint(self._model_fingerprint, self.config, self.tables, v)
        default = BATCH_TOKENS.get((loaded.device.type, loaded.reference.dtype), BATCH_TOKENS_GPU)
        self.batch_tokens = batch_tokens or (default if backbone is None else BATCH_TOKENS_ELSEWHERE)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        config: EstimatorConfig | None = None,
        *,
        dtype: str = "float32",
        device: str = "auto",
        tables: Mapping[str, npt.NDArray[Any]] | None = None,
        batch_tokens: int | None = None,
        model_backend: ModelBackend = "transformers",
        tensor_parallel_size: int = 1,
        **options: Any,
    ) -> SignatureEncoder:
        """Load a model by hub name, local folder or GGUF file and wrap it.

        Args:
            model: hub name, local folder, or path of a GGUF file.
            config: estimator settings; the published defaults if None.
            dtype: float32, bfloat16 or float16.
            device: auto, cpu, cuda ...; with vLLM, where the readout works.
            tables: sketch tables that were kept with a collection; drawn from the seed if None.
            batch_tokens: tokens of a batch; picked if None.
            model_backend: what runs the transformer: transformers, or vllm (extra `vllm`).
            tensor_parallel_size: GPUs that vLLM splits each layer over.
            options: for `load_model`: revision, trust_remote_code, device_map, max_memory, offload_folder.

        Raises:
            ModelError: the model cannot be loaded, or fails its probe.
            ConfigError: unknown settings, settings that contradict, or a missing package.
        """
        if model_backend == "vllm":
            loaded, backbone, target = start_vllm(
                model,
                config or EstimatorConfig(),
                dtype=dtype,
                device=device,
                tensor_parallel_size=tensor_parallel_size,
                **options,
            )
            return cls(
                loaded, config, tables=tables, batch_tokens=batch_tokens, backbone=backbone, readout_device=target
            )
        if model_backend != "transformers":
            raise ConfigError(f"model backend {model_backend!r} is none of transformers, vllm")
        if tensor_parallel_size != 1:
            raise ConfigError(
                "tensor parallelism needs vLLM (--backend vllm); transformers spreads a model over devices with "
                "--device-map"
            )
        loaded = load_model(model, dtype=dtype, device=device, **options)
        return cls(loaded, config, tables=tables, batch_tokens=batch_tokens)

    def with_tables(self, config: EstimatorConfig, tables: Mapping[str, npt.NDArray[Any]]) -> SignatureEncoder:
        """The same model, which is shared, with other settings and sketch tables: an encoder of another space.

        Raises:
            SpaceMismatchError: the tables do not fit the model.
        """
        other = copy.copy(self)
        v, d = self._readout.vocabulary_size, self._readout.hidden_size
        other.config, other.tables = config, SketchTables.from_arrays(tables, d, v, config)
        with torch.inference_mode():
            other._channels = Channels(self._readout, other.tables, config)
        other.fingerprint = space_fingerprint(self._model_fingerprint, config, other.tables, v)
        return other

    @property
    def dim(self) -> int:
        """Coordinates of a signature."""
        return self.config.dim

    def space(self) -> Space:
        """The record of the encoder's signature space."""
        return Space(
            fingerprint=self.fingerprint,
            model=self.reference,
            architecture=self._architecture,
            hidden_size=self._readout.hidden_size,
            vocabulary_size=self._readout.vocabulary_size,
            estimator=self.config,
            tables_sha256=self.tables.sha256,
            created_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            created_with=__version__,
        )

    def require_space(self, space: Space) -> None:
        """Refuse a space that this encoder's signatures cannot be compared with.

        Raises:
            SpaceMismatchError: the fingerprints differ; says in what.
        """
        require_same_space(self.space(), space)

    def chunks(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Tokenize texts and split them into chunks; a text of fewer than 2 tokens has none.

        Raises:
            ModelError: the model came without a tokenizer.
        """
        return [chunk_windows(ids, self.config) for ids in self._token_ids(texts)]

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        if self.tokenizer is None:
            raise ModelError(f"model {self.reference.name} came without a tokenizer; only token ids can be encoded")
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(list(texts), verbose=False)["input_ids"]
        return ids

    def render_chat(self, messages: Sequence[Mapping[str, Any]], template: str | None = None) -> str:
        """The text of a conversation, with the model's chat template or another; see `render_chat`."""
        return render_chat(self.tokenizer, self.reference.name, messages, template)

    @torch.inference_mode()
    def encode_token_ids(
        self,
        chunks: Sequence[Sequence[int]],
        loss_start: int | Sequence[int] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Array:
        """Signatures of chunks of token ids.

        Args:
            chunks: n lists of at least 2 token ids.
            loss_start: only positions that predict a token at this index or later count: one index for all chunks,
                or one a chunk; None counts every position.
            progress: is told how many tokens were just encoded.

        Returns:
            (n, dim) float32, rows of unit length.

        Raises:
            InputError: a chunk of fewer than 2 tokens, a token id beyond the head, or no position that counts.
            SignatureError: a signature is not finite.
        """
        one = 1 if loss_start is None else loss_start
        starts = list(one) if isinstance(one, Sequence) else [int(one)] * len(chunks)
        self._check_chunks(chunks, starts)
        signatures = np.empty((len(chunks), self.dim), dtype=np.float32)
        for batch, encoded in self._encoded_batches(chunks, starts, progress):
            signatures[batch] = encoded
        return signatures

    def _encoded_batches(
        self, chunks: Sequence[Sequence[int]], starts: Sequence[int], progress: Progress | None
    ) -> Iterator[tuple[list[int], Array]]:
        """Indices of the chunks of each batch with their signatures, (B, dim)."""
        for batch in length_batches([len(chunk) for chunk in chunks], self.batch_tokens):
            encoded = self._encode_batch([list(chunks[i]) for i in batch], [starts[i] for i in batch])
            finite = np.isfinite(encoded).all(axis=1)
            if not finite.all():
                raise self._not_finite(batch[int(finite.argmin())])
            yield batch, encoded
            if progress is not None:
                progress(sum(len(chunks[i]) for i in batch))

    def unencodable(self, chunks: Sequence[Sequence[int]]) -> str | None:
        """Why the chunks of an example cannot be encoded; None when they can."""
        if not chunks or any(len(chunk) < 2 for chunk in chunks):
            return _TOO_SHORT
        rows = min(self._readout.vocabulary_size, self._backbone.input_rows)
        beyond = [token for chunk in chunks for token in (min(chunk), max(chunk)) if not 0 <= token < rows]
        if beyond:
            return f"token id {beyond[0]} is beyond the LM head, which has rows 0 to {rows - 1}"
        return None

    def _check_chunks(self, chunks: Sequence[Sequence[int]], starts: Sequence[int]) -> None:
        if len(starts) != len(chunks):
            raise InputError(f"{len(starts)} values of loss_start for {len(chunks)} chunks")
        for i, (chunk, start) in enumerate(zip(chunks, starts, strict=True)):
            reason = self.unencodable([chunk])
            if reason is not None:
                raise InputError(f"chunk {i}: {reason}")
            if start >= len(chunk):
                raise InputError(f"chunk {i}: loss_start {start} leaves none of its {len(chunk)} tokens to predict")

    def _encode_batch(self, chunks: list[list[int]], starts: list[int]) -> Array:
        hidden = self._backbone.hidden_states(chunks)[:, :-1].to(self._readout.weight.device)  # (B, L - 1, D)
        length = hidden.shape[1]
        targets = torch.tensor([chunk[1:] + [0] * (length + 1 - len(chunk)) for chunk in chunks])  # (B, L - 1)
        index = torch.arange(1, length + 1)  # of the token that each position predicts
        lengths = torch.tensor([len(chunk) for chunk in chunks])
        counts = (index >= torch.tensor(starts).unsqueeze(1)) & (index < lengths.unsqueeze(1))  # (B, L - 1)
        device = self._readout.weight.device
        signatures = self._channels.signatures(hidden, targets.to(device), counts.to(device))
        array: Array = signatures.cpu().numpy()
        return array

    def _not_finite(self, chunk: int) -> SignatureError:
        narrow = self.reference.dtype == "float16"
        advice = "float16 is too narrow for it: use float32 or bfloat16" if narrow else "its weights are damaged"
        error = SignatureError(f"model {self.reference.name} gave NaN or Inf; {advice}")
        error.chunk = chunk
        return error

    def encode(self, examples: Sequence[Example | str], *, progress: Progress | None = None) -> Signatures:
        """Signatures of examples: their chunks encoded, averaged and normalised.

        Args:
            examples: records, whose `content` is encoded, or plain texts, taken as they are.
            progress: is told how many tokens were just encoded.

        Raises:
            InputError: an example of fewer than 2 tokens.
            ModelError: the model came without a tokenizer.
        """
        chunks = self.chunks([example if isinstance(example, str) else example.content for example in examples])
        for i, parts in enumerate(chunks):
            if not parts:
                example = examples[i]
                name = f"example {i + 1}" if isinstance(example, str) else f"{example.location} example {example.key}"
                raise InputError(f"{name.strip()} has fewer than 2 tokens; leave it out")
        return self.encode_chunks(chunks, progress=progress)

    def encode_chunks(
        self, chunks: Sequence[Sequence[Sequence[int]]], *, progress: Progress | None = None
    ) -> Signatures:
        """Signatures of n examples that are chunked already, as `chunks` makes them; each has at least one chunk."""
        flat = [chunk for parts in chunks for chunk in parts]
        counts = np.array([len(parts) for parts in chunks], dtype=np.int64)
        signatures = self._average(flat, [1] * len(flat), counts, progress)
        return self._assemble(signatures, chunks, counts)

    @torch.inference_mode()
    def _average(
        self,
        flat: Sequence[Sequence[int]],
        starts: Sequence[int],
        counts: npt.NDArray[np.int64],
        progress: Progress | None = None,
    ) -> Array:
        """As `average_chunks`, summed batch by batch: a text of many chunks takes no more memory than a short one."""
        self._check_chunks(flat, starts)
        owner = np.repeat(np.arange(len(counts)), counts)
        sums = own_pages((len(counts), self.dim))
        for batch, encoded in self._encoded_batches(flat, starts, progress):
            for index, signature in zip(batch, encoded, strict=True):
                sums[owner[index]] += signature.astype(np.float16)
        return _unit_means(sums, counts)

    @torch.inference_mode()
    def position_factors(
        self, chunks: Sequence[Sequence[int]], loss_start: Sequence[int] | None = None
    ) -> list[PositionFactors]:
        """What each position of each chunk adds to the chunk's signature.

        Args:
            chunks: n lists of at least 2 token ids.
            loss_start: for each chunk, only positions that predict a token at this index or later; None: every one.

        Raises:
            InputError: as of `encode_token_ids`.
            SignatureError: a factor is not finite.
        """
        starts = [1] * len(chunks) if loss_start is None else list(loss_start)
        self._check_chunks(chunks, starts)
        found: list[PositionFactors | None] = [None] * len(chunks)
        for batch in length_batches([len(chunk) for chunk in chunks], self.batch_tokens):
            hidden = self._backbone.hidden_states([list(chunks[i]) for i in batch])  # (B, L, D)
            for row, i in enumerate(batch):
                first = max(starts[i], 1)
                predicted = np.arange(first, len(chunks[i]))
                states = hidden[row, first - 1 : len(chunks[i]) - 1].to(self._readout.weight.device)  # (T, D)
                targets = torch.tensor(list(chunks[i][first:]), device=states.device)
                factors = self._channels.factors(states, targets)
                arrays = [part.cpu().numpy() for part in (factors.hidden, factors.residual, factors.error)]
                if not all(np.isfinite(array).all() for array in arrays):
                    raise self._not_finite(i)
                found[i] = PositionFactors(predicted, *arrays)
        return [factors for factors in found if factors is not None]

    @torch.inference_mode()
    def loss_gradients(
        self,
        chunks: Sequence[Sequence[int]],
        loss_start: Sequence[int] | None = None,
        *,
        progress: Progress | None = None,
    ) -> list[LossGradient]:
        """Mean loss of each chunk, and how long its true gradient at the LM head is: see `loss_gradient`.

        Args:
            chunks: n lists of at least 2 token ids.
            loss_start: for each chunk, only positions that predict a token at this index or later; None: every one.
            progress: is told how many tokens were just computed.

        Raises:
            InputError: as of `encode_token_ids`.
            SignatureError: a gradient is not finite.
        """
        starts = [1] * len(chunks) if loss_start is None else list(loss_start)
        self._check_chunks(chunks, starts)
        found: dict[int, LossGradient] = {}
        for batch in length_batches([len(chunk) for chunk in chunks], self.batch_tokens):
            hidden = self._backbone.hidden_states([list(chunks[i]) for i in batch])  # (B, L, D)
            for row, i in enumerate(batch):
                first = max(starts[i], 1)
                states = hidden[row, first - 1 : len(chunks[i]) - 1].to(self._readout.weight.device)  # (T, D)
                targets = torch.tensor(list(chunks[i][first:]), device=states.device)
                found[i] = loss_gradient(self._readout, states, targets)
                if not math.isfinite(found[i].squared_length):
                    raise self._not_finite(i)
            if progress is not None:
                progress(sum(len(chunks[i]) for i in batch))
        return [found[i] for i in range(len(chunks))]

    def encode_queries(self, queries: Sequence[Query]) -> Signatures:
        """Signatures of queries.

        A text is stripped and encoded as an example is. A prompt with its completion is one chunk, cut to
        `max_query_tokens`, of which only the completion's tokens count (DESIGN section 2, step 8). What a query is
        asked `against` is not looked at here.

        Raises:
            InputError: a query of fewer than 2 tokens.
            ModelError: the model came without a tokenizer.
        """
        asked = self.query_chunks(queries)
        chunks = [query.chunks for query in asked]
        counts = np.array([len(parts) for parts in chunks], dtype=np.int64)
        starts = [start for query in asked for start in query.loss_start]
        signatures = self._average([chunk for parts in chunks for chunk in parts], starts, counts)
        return self._assemble(signatures, chunks, counts)

    def query_chunks(self, queries: Sequence[Query]) -> list[QueryChunks]:
        """The token ids of queries as they are encoded, and which of their positions count.

        Raises:
            InputError: a query of fewer than 2 tokens.
            ModelError: the model came without a tokenizer.
        """
        texts = [query.text.strip() if query.text is not None else _joined(query) for query in queries]
        ids = self._token_ids(texts)
        prompts = self._token_ids([query.prompt or "" for query in queries])
        found = []
        for number, (query, row, prompt) in enumerate(zip(queries, ids, prompts, strict=True), 1):
            if query.text is None:
                row = row[: self.config.max_query_tokens]
                cut = len(prompt) >= self.config.max_query_tokens
                chunks = QueryChunks([row], [completion_start(len(prompt), len(row))], cut)
            else:
                windows = chunk_windows(row, self.config)
                chunks = QueryChunks(windows, [1] * len(windows))
            reason = self.unencodable(chunks.chunks)
            if reason is not None:
                name = "the query" if len(queries) == 1 and not query.id else f"query {query.id or number}"
                raise InputError(f"{name}: {reason}{_REMEDY if reason == _TOO_SHORT else ''}")
            found.append(chunks)
        return found

    def _assemble(
        self, signatures: Array, chunks: Sequence[Sequence[Sequence[int]]], counts: npt.NDArray[np.int64]
    ) -> Signatures:
        dim_rh = self.config.dim_rh
        norms = np.stack([_lengths(signatures[:, :dim_rh]), _lengths(signatures[:, dim_rh:])], axis=1)
        tokens = [covered_tokens(parts, self.config) for parts in chunks]
        return Signatures(signatures, norms, np.array(tokens, dtype=np.int64), counts)


def average_chunks(signatures: Array, counts: npt.NDArray[np.int64]) -> Array:
    """Signatures of examples from those of their chunks (DESIGN section 2, step 7).

    Args:
        signatures: (sum of counts, dim) float32, the chunks of each example in a row.
        counts: chunks of each example, (n,), each at least 1.

    Returns:
        (n, dim) float32: chunks rounded to float16, averaged in float32, of unit length.
    """
    rounded = signatures.astype(np.float16).astype(np.float32)
    if len(counts) == 0:
        return rounded
    sums = np.add.reduceat(rounded, np.cumsum(counts) - counts, axis=0)
    return _unit_means(sums, counts)


def _unit_means(sums: Array, counts: npt.NDArray[np.int64]) -> Array:
    """Means of unit length, in the memory of their sums."""
    sums /= counts[:, None].astype(np.float32)
    sums /= np.maximum(_lengths(sums), EPSILON)[:, None]
    return sums


def _lengths(rows: Array) -> Array:
    """Length of each row, (n, m) -> (n,) float32, without a copy of the rows."""
    lengths: Array = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return lengths


def _joined(query: Query) -> str:
    return (query.prompt or "") + (query.completion or "")
