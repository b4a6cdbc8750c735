"""The backbone run by vLLM, for models that need tensor parallelism.

Written against vLLM 0.33: a pooling engine with the task `token_embed` and its activation, which normalises, turned off
returns what the model's layers and final norm give at every position of a prompt. Such requests never read the prefix
cache, and a prompt that is prefilled in parts comes back whole. Results lie in the CPU's memory, in float32, which
holds the engine's float16 and bfloat16 without loss.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rise_store.errors import ConfigError, InputError, ModelError
from rise_store.records import EstimatorConfig
from rise_store.signature.backbone import make_readout
from rise_store.signature.loading import DTYPES, LoadedModel, load_model, pick_device

TASK = "token_embed"
SHORTEST_LIMIT = 64  # tokens; room for the probe
# Share of each GPU that vLLM takes; the readout and its blocks of logits work in the rest of the first one.
GPU_MEMORY_UTILIZATION = 0.85
ENVIRONMENT = {  # where the user says nothing else
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output is for data
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # this process has threads, and may use CUDA: forking it is not safe
}


class VllmBackbone:
    """Runs the transformer below the LM head in a vLLM engine of this machine."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        longest: int,
        device: torch.device,
        tensor_parallel_size: int = 1,
        gpu_memory_utilization: float = GPU_MEMORY_UTILIZATION,
    ) -> None:
        """Start the engine.

        Args:
            loaded: the same model, which says what to run and in which precision.
            longest: tokens of the longest chunk.
            device: where the hidden states are wanted.
            tensor_parallel_size: GPUs that each layer is split over.
            gpu_memory_utilization: share of each GPU that vLLM takes.

        Raises:
            ConfigError: vLLM is not installed.
            ModelError: vLLM cannot run the model, or it has no LM head.
        """
        vllm, pooler_config = _import_vllm()
        self._name = loaded.reference.name
        self._device = device
        self._dtype = DTYPES[loaded.reference.dtype]
        self._hidden_size = make_readout(loaded.model).hidden_size
        self._prompt = vllm.TokensPrompt
        self.input_rows = int(loaded.model.get_input_embeddings().weight.shape[0])
        self._longest = max(longest, SHORTEST_LIMIT)
        positions = getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None)
        if positions is not None:
            self._longest = min(self._longest, positions)
        try:
            self._engine = vllm.LLM(
                model=self._name,
                revision=loaded.reference.revision,
                trust_remote_code=loaded.reference.trust_remote_code,
                runner="pooling",
                convert="embed",
                pooler_config=pooler_config(task=TASK, tok_pooling_type="ALL", use_activation=False),
                dtype=loaded.reference.dtype,
                tensor_parallel_size=tensor_parallel_size,
                gpu_memory_utilization=gpu_memory_utilization,
                max_model_len=self._longest,
                skip_tokenizer_init=True,
                enable_prefix_caching=False,
            )
        except Exception as error:  # ValueError, RuntimeError, pydantic's own ... : no common base
            raise ModelError(f"vLLM cannot run {self._name}: {_reason(error)}; its own messages say more") from error

    def hidden_states(self, chunks: list[list[int]]) -> Tensor:
        """Hidden states of a batch: B lists of token ids -> (B, L, D), L the longest, filled with 0 on the right.

        Raises:
            InputError: a chunk is longer than the engine was started for.
            ModelError: the engine failed, or gave something other than one state a token.
        """
        length = max(map(len, chunks))
        if length > self._longest:
            raise InputError(
                f"a chunk of {length} tokens is longer than the {self._longest} positions that vLLM has here; choose a "
                "smaller chunk_size"
            )
        prompts = [self._prompt(prompt_token_ids=chunk) for chunk in chunks]
        try:
            outputs = self._engine.encode(prompts, pooling_task=TASK, use_tqdm=False)
        except Exception as error:
            raise ModelError(f"vLLM failed while it ran {self._name}: {_reason(error)}") from error
        if len(outputs) != len(chunks):
            raise ModelError(f"vLLM gave {len(outputs)} results for {len(chunks)} chunks of {self._name}")
        states = [self._states(output, chunk) for output, chunk in zip(outputs, chunks, strict=True)]
        return pad_sequence(states, batch_first=True).to(self._device)

    def _states(self, output: Any, chunk: list[int]) -> Tensor:
        failure = getattr(output, "error", None)
        if failure is not None:
            raise ModelError(f"vLLM failed on a chunk of {self._name}: {_reason(failure)}")
        data = torch.as_tensor(output.outputs.data)
        if tuple(data.shape) != (len(chunk), self._hidden_size):
            raise ModelError(
                f"vLLM gave values of shape {tuple(data.shape)} for {len(chunk)} tokens of {self._name}, whose LM head "
                f"consumes {self._hidden_size}; it does not serve this model as a plain causal language model"
            )
        return data.to(self._dtype)


def start_vllm(
    model: str | Path, config: EstimatorConfig, *, dtype: str, device: str, tensor_parallel_size: int, **options: Any
) -> tuple[LoadedModel, VllmBackbone, torch.device]:
    """Load a model's checkpoint on the CPU, and start vLLM for it.

    The checkpoint gives the LM head, the transform behind it, the fingerprint (so that stores are shared with those who
    run the model in transformers) and the hidden states that vLLM's are held against; its layers are dropped when the
    encoder stands. Until then it takes the checkpoint's size of CPU memory, or, with `device_map` and `offload_folder`,
    what `max_memory` allows.

    Raises:
        ConfigError: vLLM is not installed, or the settings contradict.
        ModelError: the model cannot be loaded, or vLLM cannot run it.
    """
    _import_vllm()  # before minutes go by
    if tensor_parallel_size < 1:
        raise ConfigError(f"tensor parallelism over {tensor_parallel_size} GPUs; it takes at least 1")
    if Path(model).suffix == ".gguf":
        raise ConfigError(f"{model} is a GGUF file; with vLLM name a hub model or a folder, or leave --backend out")
    if options.get("device_map") is not None and options.get("max_memory") is None:
        options["max_memory"] = {"cpu": _free_memory()}  # the GPUs are vLLM's
    loaded = load_model(model, dtype=dtype, device="cpu", **options)
    target = pick_device(device)
    longest = max(config.chunk_size, config.max_query_tokens)
    backbone = VllmBackbone(loaded, longest=longest, device=target, tensor_parallel_size=tensor_parallel_size)
    return loaded, backbone, target


def _import_vllm() -> tuple[Any, Any]:
    """The package and its class of pooling settings."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import vllm
        from vllm.config import PoolerConfig
    except ImportError as error:
        if error.name == "vllm":
            raise ConfigError("the backend vllm needs the package vllm: pip install 'rise-store[vllm]'") from error
        raise ConfigError(f"the package vllm cannot be imported: {_reason(error)}; 0.33 or later is needed") from error
    return vllm, PoolerConfig


def _free_memory() -> int:
    """Four fifths of the CPU memory that is free, bytes; vLLM runs on systems that say so."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 4 // 5


def _reason(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
