"""Tiny random models of every architecture that the estimator is held against, with what each does behind its head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers

Transform = Callable[[np.ndarray], np.ndarray]


def _soft_cap(cap: float) -> Transform:
    return lambda z: cap * np.tanh(z / cap)


@dataclass(frozen=True)
class Architecture:
    """A causal language model class: how it is configured, and its logits after `W h + b`."""

    name: str
    config: str
    options: dict[str, Any]
    transform: Transform = lambda z: z

    def build(self, vocabulary: int, *, tied: bool, seed: int = 0) -> Any:
        """A model in float32 with weights large enough for peaked distributions."""
        config = getattr(transformers, self.config)(
            vocab_size=vocabulary, tie_word_embeddings=tied, **COMMON, **self.options
        )
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        randomize(model, seed)
        return model


COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
GROUPED = {"num_key_value_heads": 2}
HEADS = GROUPED | {"head_dim": 8}
WINDOWED = {"sliding_window": 8}
GEMMA = HEADS | WINDOWED

ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("gpt_neox", "GPTNeoXConfig", {}),
        Architecture("olmo2", "Olmo2Config", GROUPED),
        Architecture("olmo3", "Olmo3Config", GROUPED | WINDOWED),
        Architecture("llama", "LlamaConfig", GROUPED),
        Architecture("qwen2", "Qwen2Config", GROUPED),
        Architecture("qwen3", "Qwen3Config", HEADS),
        Architecture("gemma2", "Gemma2Config", GEMMA | {"final_logit_softcapping": 5.0}, _soft_cap(5.0)),
        Architecture("gemma3", "Gemma3TextConfig", GEMMA | {"final_logit_softcapping": 7.0}, _soft_cap(7.0)),
        Architecture("gpt2", "GPT2Config", {}),
        Architecture("phi", "PhiConfig", {}),
        Architecture("cohere", "CohereConfig", GROUPED | {"logit_scale": 0.25}, lambda z: 0.25 * z),
        Architecture("granite", "GraniteConfig", GROUPED | {"logits_scaling": 2.5}, lambda z: z / 2.5),
        Architecture("mixtral", "MixtralConfig", GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    )
}


def randomize(model: Any, seed: int) -> None:
    """Give every parameter values that matter: biases that are not 0, gains that are not 1, peaked logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise * 1.5 * parameter.shape[-1] ** -0.5)
            elif name.endswith("bias"):
                parameter.copy_(noise * 0.5)
            else:
                parameter.copy_(parameter + noise * 0.2)
        head = model.get_output_embeddings()
        head.weight.mul_(2.0)


def head_inputs(model: Any, chunk: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """What the LM head of a float64 model consumes, and the model's own logits: (L, D), (L, V)."""
    seen: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([chunk]), use_cache=False).logits
    hook.remove()
    return seen[0][0].to(torch.float64).numpy(), logits[0].to(torch.float64).numpy()
