"""Presets: settings of queries that the catalogue keeps under a name, and how options take precedence over them."""

from __future__ import annotations

from collections.abc import Callable
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
    precondition: float | None  # alpha: directions that many stored signatures share count less; 0: not at all


def resolve_scoring(
    space: Space, options: ScoringOptions, preset: Preset | None = None
) -> tuple[Scoring, float | None]:
    """The metric with its settings, and the alpha of preconditioning (None: there is none).

    What `options` state wins over the preset, also an alpha of 0, which is none. Under another metric than the
    preset's, its weights and lambdas, which were chosen for that metric, do not count.

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
        weights = preset.weights if weights is None else weights
        lambdas = preset.lambdas if lambdas is None else lambdas
    if preset is not None and alpha is None:
        alpha = preset.precondition
    alpha = None if alpha is None or alpha == 0 else checked_alpha(alpha)
    return Scoring.plan(space.estimator, metric, weights, lambdas), alpha


def read_presets(catalogue: Catalogue, notify: Callable[[str], None] = lambda line: None) -> list[Preset]:
    """All presets by name; `notify` is told of each that cannot be read, which is left out."""
    found = []
    for name, document in sorted(catalogue.scan(KIND), key=lambda entry: entry[0]):
        try:
            found.append(_parsed(name, document))
        except StoreError as error:
            notify(str(error))
    return found


def find_preset(catalogue: Catalogue, name: str) -> Preset:
    """The preset of a name.

    Raises:
        InputError: there is none of the name; names those that there are.
        StoreError: it cannot be read.
    """
    document = catalogue.get(KIND, [name]).get(name)
    if document is None:
        raise _unknown(catalogue, name)
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


def delete_preset(catalogue: Catalogue, name: str) -> Preset | None:
    """Forget a preset; what it was, or None where that cannot be read. `InputError` where there is none of the name."""
    document = catalogue.get(KIND, [name]).get(name)
    if document is None:
        raise _unknown(catalogue, name)
    catalogue.remove(KIND, [name])
    try:
        return _parsed(name, document)
    except StoreError:
        return None


def _unknown(catalogue: Catalogue, name: str) -> InputError:
    known = ", ".join(sorted(key for key, _ in catalogue.scan(KIND))) or "none"
    return InputError(f"the store has no preset {name[:100]!r}; its presets: {known}")


def _parsed(name: str, document: Document) -> Preset:
    try:
        return Preset.model_validate(document)
    except ValidationError as error:
        raise StoreError(
            f"preset {name!r} cannot be read ({error.errors()[0]['msg']}); a newer rise_store may have written it: "
            "use that one, or delete the preset or save it anew"
        ) from error
