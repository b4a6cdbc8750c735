"""A stand-in for the package vllm, which needs GPUs: what rise_store uses of vLLM 0.33, run by transformers.

It knows the arguments that rise_store may use and refuses others. `FAULTS` are ways in which an engine can give
something else than the states below the head.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from typing import Any, TypedDict

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rise_store.signature.vllm_backbone import ENVIRONMENT


class TokensPrompt(TypedDict):
    prompt_token_ids: list[int]


@dataclass
class PoolerConfig:
    task: str | None = None
    pooling_type: str | None = None
    seq_pooling_type: str | None = None
    tok_pooling_type: str | None = None
    use_activation: bool | None = None


@dataclass
class PoolingOutput:
    data: Tensor


@dataclass
class PoolingRequestOutput:
    outputs: PoolingOutput
    prompt_token_ids: list[int]
    num_cached_tokens: int = 0
    finished: bool = True
    error: Any = None


@dataclass
class Started:
    """What the engines of a test were started with and asked for."""

    arguments: list[dict[str, Any]] = field(default_factory=list)
    batches: list[list[int]] = field(default_factory=list)  # lengths of the prompts of each call


def _without_norm(engine: Any, tokens: list[int]) -> Tensor:
    norm = engine.inner.norm
    engine.inner.norm = torch.nn.Identity()
    try:
        return engine.states(tokens)
    finally:
        engine.inner.norm = norm


FAULTS: dict[str, Any] = {
    "normalised": lambda engine, tokens: F.normalize(engine.states(tokens), dim=-1),
    "shifted": lambda engine, tokens: engine.states(tokens).roll(1, dims=0),
    "without the final norm": _without_norm,
    "not finite": lambda engine, tokens: engine.states(tokens) * float("nan"),
    "last position only": lambda engine, tokens: engine.states(tokens)[-1:],
    "projected": lambda engine, tokens: engine.states(tokens)[:, :8],
}


def make_stub(fault: str | None = None, failure: Exception | None = None) -> tuple[dict[str, Any], Started]:
    """Modules for `sys.modules`, and a record of how they are used."""
    started = Started()

    class LLM:
        def __init__(
            self,
            model: str,
            *,
            runner: str = "auto",
            convert: str = "auto",
            skip_tokenizer_init: bool = False,
            trust_remote_code: bool = False,
            tensor_parallel_size: int = 1,
            dtype: str = "auto",
            revision: str | None = None,
            gpu_memory_utilization: float = 0.92,
            pooler_config: PoolerConfig | None = None,
            max_model_len: int | None = None,
            enable_prefix_caching: bool = True,
        ) -> None:
            from transformers import AutoModelForCausalLM

            started.arguments.append({key: value for key, value in locals().items() if key not in ("self", "started")})
            if failure is not None:
                raise failure
            whole = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
            self.inner = getattr(whole, whole.base_model_prefix)
            self.runner = runner
            self.pooler_config = pooler_config
            self.longest = max_model_len

        def states(self, tokens: list[int]) -> Tensor:
            """What the LM head consumes for one prompt: (L, D)."""
            hidden: Tensor = self.inner(input_ids=torch.tensor([tokens]), use_cache=False).last_hidden_state
            return hidden[0]

        @torch.inference_mode()
        def encode(
            self, prompts: list[TokensPrompt], *, use_tqdm: bool = True, pooling_task: str | None = None
        ) -> list[PoolingRequestOutput]:
            config = self.pooler_config
            assert self.runner == "pooling"
            assert config is not None
            assert pooling_task == config.task == "token_embed"
            assert not use_tqdm
            started.batches.append([len(prompt["prompt_token_ids"]) for prompt in prompts])
            outputs = []
            for prompt in prompts:
                tokens = prompt["prompt_token_ids"]
                assert self.longest is None or len(tokens) <= self.longest
                states = FAULTS[fault](self, tokens) if fault else self.states(tokens)
                if config.use_activation is not False:  # normalises unless it is told not to
                    states = F.normalize(states, dim=-1)
                # the pooler's head works in float32, whatever the model's dtype
                outputs.append(PoolingRequestOutput(PoolingOutput(states.to(torch.float32)), tokens))
            return outputs

    package, settings = types.ModuleType("vllm"), types.ModuleType("vllm.config")
    vars(package).update(LLM=LLM, TokensPrompt=TokensPrompt, config=settings)
    vars(settings).update(PoolerConfig=PoolerConfig)
    return {"vllm": package, "vllm.config": settings}, started


def install_stub(patch: pytest.MonkeyPatch, fault: str | None = None, failure: Exception | None = None) -> Started:
    """Let `import vllm` find the stand-in for the length of a test."""
    import sys

    modules, started = make_stub(fault, failure)
    for name, module in modules.items():
        patch.setitem(sys.modules, name, module)
    for variable in ENVIRONMENT:
        patch.setenv(variable, "")  # so that what is set is taken back
        patch.delenv(variable)
    return started
