"""When two signature spaces are one, and how to say that they are not."""

from __future__ import annotations

from rise_store.errors import SpaceMismatchError
from rise_store.records import EstimatorConfig, Space


def require_same_space(own: Space, space: Space) -> None:
    """Refuse a space that signatures of `own` cannot be compared with.

    Raises:
        SpaceMismatchError: the fingerprints differ; says in what.
    """
    if space.fingerprint == own.fingerprint:
        return
    differences = [
        f"{name} {theirs} there, {ours} here"
        for name, theirs, ours in (
            ("architecture", space.architecture, own.architecture),
            ("hidden size", space.hidden_size, own.hidden_size),
            ("vocabulary", space.vocabulary_size, own.vocabulary_size),
            *(
                (name, getattr(space.estimator, name), getattr(own.estimator, name))
                for name in EstimatorConfig.model_fields
            ),
            ("sketch tables", space.tables_sha256[:12], own.tables_sha256[:12]),
        )
        if theirs != ours
    ]
    why = "; ".join(differences) or "other weights or another tokenizer"
    raise SpaceMismatchError(
        f"model {own.model.name} makes signatures of another space than {space.fingerprint} "
        f"(made with {space.model.name}): {why}"
    )
