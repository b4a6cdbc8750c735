"""Models and tokenizers from a hub name, a local folder or a GGUF file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rise_store.errors import ConfigError, ModelError
from rise_store.records import ModelReference
from rise_store.signature.memory import bound_kernel_cache
from rise_store.signature.weights import weights_fingerprint

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model in evaluation mode, its tokenizer where it has one, and how to load them again."""

    model: Any  # a PreTrainedModel
    tokenizer: Any | None
    reference: ModelReference
    device: torch.device  # of the input ids
    weights: str  # their fingerprint


def pick_device(device: str = "auto") -> torch.device:
    """`auto`: CUDA, else MPS, else CPU.

    Raises:
        ConfigError: the name is no device, or this machine has none of the kind.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.empty(1, device=picked)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {device!r} cannot be used: {reason}; try cpu, cuda or mps") from error
    return picked


def load_model(
    name: str | Path,
    *,
    dtype: str = "float32",
    device: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    device_map: str | dict[str, Any] | None = None,
    max_memory: dict[Any, Any] | None = None,
    offload_folder: str | Path | None = None,
) -> LoadedModel:
    """Load a causal language model and its tokenizer.

    Args:
        name: hub name, local folder, or path of a GGUF file.
        dtype: float32, bfloat16 or float16.
        device: auto, cpu, cuda, cuda:1, mps ...; where the whole model goes, unless `device_map` spreads it.
        revision: hub revision.
        trust_remote_code: whether code from the model's repository may run.
        device_map: as in transformers ("auto", or module name -> device, "cpu" or "disk"); needs the extra `offload`.
        max_memory: as in transformers: device -> bytes, for `device_map="auto"`.
        offload_folder: where weights that `device_map` sends to disk are kept.

    Raises:
        ModelError: there is no such model, or it is not a causal language model.
        ConfigError: an unknown dtype or device, or a missing package.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
    bound_kernel_cache()
    target = pick_device(device)
    source, options = _source(name, revision, trust_remote_code)
    if device_map is not None:
        _need("accelerate", "offload", "device_map")
        options |= {"device_map": device_map, "max_memory": max_memory, "offload_folder": offload_folder}
    from transformers import AutoConfig, AutoModelForCausalLM

    with _quiet(), _as_model_error(str(name)):
        config = AutoConfig.from_pretrained(source, **_without(options, "device_map", "max_memory", "offload_folder"))
        if getattr(config, "is_encoder_decoder", False):
            raise ModelError(f"model {str(name)!r} is an encoder-decoder, not a causal language model")
        # float16 and bfloat16 round differently, so a float16 model is fingerprinted as its checkpoint stores it.
        own_precision = dtype == "float16" and device_map is None
        model, report = AutoModelForCausalLM.from_pretrained(
            source,
            dtype="auto" if own_precision else DTYPES[dtype],
            output_loading_info=True,
            **options,
            **_gguf_options(options),
        )
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers
        raise ModelError(
            f"model {str(name)!r} lacks weights of {type(model).__name__}: {', '.join(missing[:3])}"
            f"{' ...' if len(missing) > 3 else ''}; a whole causal language model is needed"
        )
    model.eval().requires_grad_(False)
    weights = weights_fingerprint(model)
    if own_precision:
        for parameter in model.parameters():  # not the buffers: rotary frequencies stay in float32
            parameter.data = parameter.data.to(torch.float16)
    if device_map is None:
        model = model.to(target)
    reference = ModelReference(
        name=_stable_name(name), revision=revision, dtype=dtype, trust_remote_code=trust_remote_code
    )
    tokenizer = load_tokenizer(name, revision=revision, trust_remote_code=trust_remote_code)
    device_of_ids = target if device_map is None else pick_device(_execution_device(model.get_input_embeddings()))
    return LoadedModel(model, tokenizer, reference, device_of_ids, weights)


def load_tokenizer(name: str | Path, *, revision: str | None = None, trust_remote_code: bool = False) -> Any | None:
    """Load a model's tokenizer; None when the model comes without one."""
    from transformers import AutoTokenizer

    source, options = _source(name, revision, trust_remote_code)
    folder = Path(source)
    if "gguf_file" not in options and folder.is_dir() and not _has_tokenizer(folder):
        return None
    with _quiet(), _as_model_error(f"the tokenizer of {name}"):
        return AutoTokenizer.from_pretrained(source, **options)


def _has_tokenizer(folder: Path) -> bool:
    return any(path for pattern in ("*token*", "vocab*", "merges.txt", "*.model") for path in folder.glob(pattern))


def _source(name: str | Path, revision: str | None, trust_remote_code: bool) -> tuple[str, dict[str, Any]]:
    """What transformers wants for a name: a folder with the GGUF file's name, or the name itself."""
    # transformers asks on the terminal unless it is told
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code} | ({"revision": revision} if revision else {})
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError(f"there is no GGUF file at {path}; check the path given with --model")
        _need("gguf", "gguf", "GGUF files")
        _need("accelerate", "gguf", "GGUF files")  # transformers loads them through it
        return str(path.parent), options | {"gguf_file": path.name}
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"folder {path} holds no model: it has no config.json")
        return str(path), options
    if path.is_absolute() or str(name).startswith(("~", ".")) or str(name).count("/") > 1 or "\\" in str(name):
        raise ModelError(f"there is no model folder at {path}; name a hub model, a folder or a GGUF file with --model")
    return str(name), options


def _gguf_options(options: dict[str, Any]) -> dict[str, Any]:
    """Ask for plain dense weights: packed GGUF blocks have no unembedding to read."""
    if "gguf_file" not in options:
        return {}
    import transformers

    config_class = getattr(transformers, "GgufConfig", None)
    return {} if config_class is None else {"quantization_config": config_class(dequantize=True)}


def _without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in names}


def _stable_name(name: str | Path) -> str:
    """Local models by absolute path, so that a store finds its model from any working directory."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else str(name)


def _execution_device(module: Any) -> str:
    hook = getattr(module, "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    if device is None:
        device = next(module.parameters()).device
    return str(torch.device(device))


def _need(package: str, extra: str, purpose: str) -> None:
    try:
        __import__(package)
    except ImportError as error:
        raise ConfigError(f"{purpose} need the package {package}: pip install 'rise-store[{extra}]'") from error


@contextlib.contextmanager
def _as_model_error(what: str) -> Iterator[None]:
    """Turn what transformers raises for a bad model into one clear line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # OSError, ValueError, KeyError, safetensors' own ... : no common base
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"cannot load {what}: it brings code of its own, which runs only with --trust-remote-code "
                "(trust_remote_code=True); read that code first"
            ) from error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise ModelError(f"cannot load {what}: {reason[:300]}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' advice and its own bars off the terminal."""
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        # The GGUF reader draws a bar of its own that no setting turns off.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
