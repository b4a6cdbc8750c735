"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from rise_store.errors import ConfigError
from rise_store.records import EstimatorConfig, Metric, validated

Command = TypeVar("Command", bound=Callable[..., Any])

store_option = click.option(
    "--store",
    required=True,
    metavar="DIR|URL",
    envvar="RISE_STORE",
    show_envvar=True,
    help="Folder or URL of the store.",
)


def model_options(
    command: Command, *, dtype: str = "the store's, else float32", revision: str = "the store's, where the model is"
) -> Command:
    """How to load a model: `--dtype`, `--device` and what goes with them, as the keys of `LoadOptions`.

    Args:
        command: gets the options.
        dtype: what the command does without `--dtype`, for its help.
        revision: what it does without `--revision`.
    """
    for option in (
        click.option(
            "--tensor-parallel",
            "tensor_parallel_size",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            metavar="N",
            help="GPUs that --backend vllm splits each layer over.",
        ),
        click.option(
            "--backend",
            "model_backend",
            type=click.Choice(["transformers", "vllm"]),
            default="transformers",
            show_default=True,
            help="What runs the model; vllm is for models that need several GPUs (extra vllm).",
        ),
        click.option("--offload-folder", metavar="DIR", help="Where weights that --device-map sends to disk are kept."),
        click.option(
            "--device-map",
            metavar="MAP",
            help="Spread a model that is larger than one device: auto, balanced, sequential (extra offload).",
        ),
        click.option("--trust-remote-code", is_flag=True, help="Let code from the model's repository run."),
        click.option("--revision", metavar="REVISION", help=f"Hub revision.  [default: {revision}]"),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            metavar="DEVICE",
            help="auto, cpu, cuda, cuda:1, mps; auto takes CUDA, then MPS, then CPU.",
        ),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "bfloat16", "float16"]),
            help=f"Precision of the model.  [default: {dtype}]",
        ),
    ):
        command = option(command)
    return command


def preset_settings(command: Command) -> Command:
    """What a preset keeps: `--metric`, `--weights`, `--lambdas`, `--precondition`, as the keys of `ScoringOptions`."""
    for option in (
        click.option(
            "--precondition",
            type=float,
            metavar="ALPHA",
            help="Let directions that many stored signatures share count less, such as 0.01; the smaller, the less. "
            "0: none, whatever --preset says.  [default: they count]",
        ),
        click.option(
            "--lambdas", metavar="LAMBDAS", help="Of the metric paper, as in rh=1,gh=0.3.  [default: the space's]"
        ),
        click.option("--weights", metavar="WEIGHTS", help="Weights of the channels.  [default: rh=1,gh=1]"),
        click.option(
            "--metric",
            type=click.Choice(get_args(Metric)),
            help="dot: weighted dot product. cosine: weighted cosine of each channel. paper: published score under "
            "--lambdas.  [default: dot]",
        ),
    ):
        command = option(command)
    return command


def scoring_options(command: Command) -> Command:
    """How examples are scored: `preset_settings`, and `--preset`, as the keys of `ScoringOptions` and `preset`."""
    preset = click.option(
        "--preset",
        metavar="NAME",
        help="Take metric, weights, lambdas and preconditioning from what rise-store presets keeps under a name; "
        "options beside it win.  [default: none]",
    )
    return preset_settings(preset(command))


where_option = click.option(
    "--where",
    multiple=True,
    metavar="FILTER",
    help=(
        "Only examples that pass, such as 'license in (MIT, CC0-1.0) and tokens >= 50 and not dataset = forum', or the "
        "same as JSON; repeated: all must hold. Compares by =, != (true also without a value), <, <=, >, >=, in, "
        "startswith, exists; numbers, dates, true and false need no quotes, values with spaces do."
    ),
)

space_option = click.option(
    "--space", metavar="FINGERPRINT", help="Which space, when the store has several; its beginning is enough."
)

estimator_option = click.option(
    "--estimator",
    multiple=True,
    metavar="NAME=VALUE",
    help="Estimator setting, such as kr=48 or tau=1; may be repeated.  [default: the store's, else as published]",
)


def storage_options(command: Command) -> Command:
    """How a new space keeps its signatures: `--profile`, `--quantization` and `--hnsw`."""
    for option in (
        click.option("--hnsw", is_flag=True, help="Build a graph in a new space, for approximate search."),
        click.option(
            "--quantization",
            type=click.Choice(["4", "2", "1"]),
            callback=lambda _context, _option, bits: bits and int(bits),
            help="Bits of a second, coarser copy in a new space, for approximate search.",
        ),
        click.option(
            "--profile",
            type=click.Choice(["float16", "turbo8", "turbo4", "small"]),
            help="How a new space keeps signatures: 16, 8 or 4 bits a coordinate, or small: 352 coordinates of 16 bits."
            "  [default: the store's, else float16]",
        ),
    ):
        command = option(command)
    return command


def format_option(*formats: str) -> Callable[[Command], Command]:
    """`--format` with these choices, the first being the default."""
    return click.option("--format", "format_", type=click.Choice(formats), default=formats[0], show_default=True)


def parse_estimator(settings: tuple[str, ...]) -> EstimatorConfig | None:
    """Estimator settings from `NAME=VALUE`; None when there are none.

    Raises:
        ConfigError: an unknown name, or a value outside its range.
    """
    if not settings:
        return None
    values = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in EstimatorConfig.model_fields:
            known = ", ".join(EstimatorConfig.model_fields)
            raise ConfigError(f"estimator setting {setting!r} is not NAME=VALUE; names: {known}")
        values[name] = value
    return validated(EstimatorConfig, "estimator setting", values)


labelled_option = click.option(
    "--labelled", required=True, metavar="FILE", help='JSON Lines of queries with "relevant"; - is standard input.'
)

label_field_option = click.option(
    "--label-field",
    metavar="FIELD",
    help='Relevant is what has in this field the "label" of the query\'s own row, such as metadata.label.',
)

ks_option = click.option(
    "-k",
    "ks",
    type=int,
    multiple=True,
    default=(5, 10, 50),
    show_default=True,
    metavar="K",
    help="How many of the highest and of the lowest examples count; may be repeated.",
)

seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="SEED", help="Of what is drawn."
)


def bootstrap_option(command: Command) -> Command:
    """How intervals are made: `--bootstrap` and `--seed`."""
    return click.option(
        "--bootstrap",
        type=click.IntRange(min=0),
        default=1000,
        show_default=True,
        metavar="N",
        help="Resamples of the intervals; 0 for none.",
    )(seed_option(command))
