"""Presets: settings of queries that the catalogue keeps under a name, and how options take precedence over them."""

from __future__ import annotations

from datetime import datetime, timezone

from pydantic import ValidationError
from typing_extensions import TypedDict

from rise_store.errors import InputError, SpaceMismatchError, StoreError
from rise_store.records import Lambdas, Metric, Preset, Space, Weights
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.precondition import checked_alpha
from rise_store.store import Catalogue, Document

KIND = "preset"  # of the documents in the catalogue; a preset's key is its name


class ScoringOptions(TypedDict, total=False):
    """How stored examples are scored; a key that is left out or None is the preset's, or else the default."""

    metric: Metric | None  # dot (the default), cosine or paper
    weights: Weights | str | None  # of the channels, under dot and cosine, as a record or as rh=1,gh=0.5; 1 each
    lambdas: Lambdas | str | None  # under the metric paper, as a record or as rh=1,gh=0.3; the space's
    precondition: float | None  # alpha: directions that many stored signatures share count less; not at all


def resolve_scoring(
    space: Space, options: ScoringOptions, preset: Preset | None = None
) -> tuple[Scoring, float | None]:
    """The metric with its settings, and the alpha of preconditioning (None: there is none).

    What `options` state wins over the preset. Under another metric than the preset's, its weights and lambdas, which
    were chosen for that metric, do not count.

    Raises:
        SpaceMismatchError: the preset was chosen for another space.
        ConfigError: settings that are out of range or do not fit each other.
    """
    if preset is not None and preset.space != space.fingerprint:
        raise SpaceMismatchError(
            f"preset {preset.name} was chosen for space {preset.space}, and this is {space.fingerprint}; "
            "use it there (--space), or save one for this space"
        )
    metric = options.get("metric") or (preset.metric if preset is not None else "dot")
    weights, lambdas, alpha = options.get("weights"), options.get("lambdas"), options.get("precondition")
    if preset is not None and preset.metric == metric:
        weights = preset.weights if weights is None and metric != "paper" else weights
        lambdas = preset.lambdas if lambdas is None else lambdas
    if preset is not None and alpha is None:
        alpha = preset.precondition
    if alpha is not None:
        checked_alpha(alpha)
    return Scoring.plan(space.estimator, metric, weights, lambdas), alpha


def read_presets(catalogue: Catalogue) -> list[Preset]:
    """All presets by name; `StoreError` for a document that is none."""
    return sorted((_parsed(name, document) for name, document in catalogue.scan(KIND)), key=lambda one: one.name)


def find_preset(catalogue: Catalogue, name: str) -> Preset:
    """The preset of a name; `InputError` where there is none, which names those that there are."""
    document = catalogue.get(KIND, [name]).get(name)
    if document is None:
        known = ", ".join(preset.name for preset in read_presets(catalogue)) or "none"
        raise InputError(f"the store has no preset {name[:100]!r}; its presets: {known}")
    return _parsed(name, document)


def save_preset(catalogue: Catalogue, preset: Preset, space: Space) -> Preset:
    """Keep a preset for a space, in the place of one of its name; what was kept.

    Raises:
        SpaceMismatchError: it names another space.
        ConfigError: its settings do not fit each other, or the space.
    """
    resolve_scoring(space, {}, preset)
    if not preset.created_at:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        preset = preset.model_copy(update={"created_at": now})
    catalogue.put(KIND, {preset.name: preset.model_dump(mode="json")})
    return preset


def delete_preset(catalogue: Catalogue, name: str) -> Preset:
    """Forget a preset; what it was. `InputError` where there is none of the name."""
    preset = find_preset(catalogue, name)
    catalogue.remove(KIND, [name])
    return preset


def _parsed(name: str, document: Document) -> Preset:
    try:
        return Preset.model_validate(document)
    except ValidationError as error:
        raise StoreError(
            f"preset {name!r} cannot be read ({error.errors()[0]['msg']}); a newer rise_store may have written it: "
            "use that one, or save the preset anew"
        ) from error
