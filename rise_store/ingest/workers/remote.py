"""An encoder in another process: how it is loaded there, and what this process knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from rise_store.records import EstimatorConfig, ModelReference, Space
from rise_store.spaces import require_same_space

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


@dataclass(frozen=True)
class EncoderRecipe:
    """How to load an encoder; may be sent to another process."""

    model: str | Path
    config: EstimatorConfig | None
    tables: Mapping[str, npt.NDArray[Any]] | None  # of a space that exists; None draws them
    options: Mapping[str, Any] = field(default_factory=dict)  # of `SignatureEncoder.from_pretrained`

    def load(self, **options: Any) -> SignatureEncoder:
        """Load it in this process; `options` go before those of the recipe."""
        from rise_store.signature import SignatureEncoder

        return SignatureEncoder.from_pretrained(
            self.model, self.config, tables=self.tables, **{**self.options, **options}
        )


@dataclass(frozen=True)
class SketchArrays:
    """Sketch tables as a store keeps them."""

    by_name: Mapping[str, npt.NDArray[Any]]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The tables by name."""
        return dict(self.by_name)


@dataclass(frozen=True)
class RemoteEncoder:
    """What this process knows of an encoder in another one: whose signatures it makes, and how large its batches are.

    Stands for that encoder where a space is chosen or made (`rise_store.encoders.SpaceEncoder`).
    """

    record: Space
    tables: SketchArrays
    batch_tokens: int

    @classmethod
    def describing(cls, encoder: SignatureEncoder) -> RemoteEncoder:
        """The description of an encoder in this process, to be sent to another."""
        return cls(encoder.space(), SketchArrays(encoder.tables.arrays()), encoder.batch_tokens)

    @property
    def fingerprint(self) -> str:
        """Of the space."""
        return self.record.fingerprint

    @property
    def config(self) -> EstimatorConfig:
        """The estimator's settings."""
        return self.record.estimator

    @property
    def reference(self) -> ModelReference:
        """How the model was loaded."""
        return self.record.model

    @property
    def dim(self) -> int:
        """Coordinates of a signature."""
        return self.record.dim

    @cached_property
    def _tokenizer(self) -> Any:
        from rise_store.signature import load_tokenizer

        reference = self.reference
        return load_tokenizer(
            reference.name, revision=reference.revision, trust_remote_code=reference.trust_remote_code
        )

    def render_chat(self, messages: Sequence[Mapping[str, Any]], template: str | None = None) -> str:
        """The text of a conversation; the tokenizer is loaded into this process for it."""
        from rise_store.signature import render_chat

        return render_chat(self._tokenizer, self.reference.name, messages, template)

    def space(self) -> Space:
        """The record of the space."""
        return self.record

    def require_space(self, space: Space) -> None:
        """Refuse a space that the signatures cannot be compared with: `SpaceMismatchError`."""
        require_same_space(self.record, space)
