"""What limits a selection: a number of rows, a token budget, and how much may share a value of a field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from rise_store.errors import ConfigError
from rise_store.records import SelectionLimit
from rise_store.retrieval.groups import value_at
from rise_store.store import resolve_field

NO_GROUPS = ("metadata", "channel_norms", "flags", "text")  # own fields that are no property of an example
Key = tuple[int, str]  # number of a limit, and the value that a row has under it


@dataclass(frozen=True)
class Limits:
    """At most `k` rows and `tokens` tokens, and at most so much of each value of some fields.

    Each limit of `shares` is a set of rows and how much of it may be chosen; a row may be in several sets.
    """

    k: int | None = None
    tokens: int | None = None
    shares: tuple[SelectionLimit, ...] = ()

    @classmethod
    def plan(cls, k: int | None, tokens: int | None, quotas: Sequence[str] = (), max_per: Sequence[str] = ()) -> Limits:
        """Check limits.

        Args:
            k: rows at most.
            tokens: tokens at most.
            quotas: `FIELD=VALUE:N` or `FIELD=VALUE:N%`: at most so many of the rows that have the value (an empty
                one: no value).
            max_per: `FIELD=N` or `FIELD=N%`: at most so many of each value of the field.

        A per cent is one of k, of the token budget, or of both where both are given, rounded down; above 0 %, to 1 at
        least.

        Raises:
            ConfigError: neither k nor tokens, or a limit that cannot be read.
            FilterError: what is no field.
        """
        if k is None and tokens is None:
            raise ConfigError("say how much to select: a number of rows with -k, a token budget with --tokens, or both")
        if k is not None and k < 1:
            raise ConfigError(f"k is {k}; select at least 1 row")
        if tokens is not None and tokens < 2:
            raise ConfigError(f"the token budget is {tokens}; the shortest example has 2 tokens")
        shares = []
        for text in quotas:
            name, equals, rest = text.partition("=")
            value, colon, amount = rest.rpartition(":")
            if not (name and equals and colon):
                raise ConfigError(f"quota {text!r} is not FIELD=VALUE:N, such as license=MIT:100 or dataset=web:30%")
            shares.append(_share(f"quota {text!r}", name, value, amount, k, tokens))
        for text in max_per:
            name, equals, amount = text.partition("=")
            if not (name and equals):
                raise ConfigError(f"limit {text!r} is not FIELD=N, such as source_uri=3 or dataset=30%")
            shares.append(_share(f"limit {text!r}", name, None, amount, k, tokens))
        return cls(k, tokens, tuple(shares))

    @property
    def counts_tokens(self) -> bool:
        """Whether some limit is one of tokens."""
        return self.tokens is not None or any(share.tokens is not None for share in self.shares)

    @property
    def fields(self) -> tuple[str, ...]:
        """Payload paths that the limits look at."""
        return tuple(dict.fromkeys(share.field for share in self.shares))

    def keys(self, fields: dict[str, Any]) -> tuple[Key, ...]:
        """The sets that a row is in, by its payload fields."""
        keys = []
        for number, share in enumerate(self.shares):
            value = text_at(fields, share.field)
            if share.value is None or share.value == value:
                keys.append((number, value))
        return tuple(keys)

    def times(self, factor: int) -> Limits:
        """Limits that are wider by a factor."""

        def wider(amount: int | None) -> int | None:
            return None if amount is None else amount * factor

        shares = tuple(
            share.model_copy(update={"rows": wider(share.rows), "tokens": wider(share.tokens)}) for share in self.shares
        )
        return Limits(wider(self.k), wider(self.tokens), shares)

    def most(self, keys: Sequence[Key]) -> tuple[int | None, int | None]:
        """Rows and tokens that can be chosen of those which are in the same sets; None: no limit."""
        shares = [self.shares[number] for number, _ in keys]
        rows = [amount for amount in (self.k, *(share.rows for share in shares)) if amount is not None]
        tokens = [amount for amount in (self.tokens, *(share.tokens for share in shares)) if amount is not None]
        return min(rows, default=None), min(tokens, default=None)


@dataclass
class Tally:
    """What has been chosen so far, held against the limits."""

    limits: Limits
    rows: int = 0
    tokens: int = 0
    _of: dict[Key, tuple[int, int]] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether no row can be chosen any more."""
        limits = self.limits
        return (limits.k is not None and self.rows >= limits.k) or (
            limits.tokens is not None and self.tokens + 2 > limits.tokens
        )

    def take(self, keys: Sequence[Key], tokens: int) -> bool:
        """Choose a row that is in these sets, if that is within all limits; whether it was."""
        if not _within(self.rows + 1, self.tokens + tokens, self.limits.k, self.limits.tokens):
            return False
        after = {}
        for key in keys:
            rows, used = self._of.get(key, (0, 0))
            share = self.limits.shares[key[0]]
            after[key] = (rows + 1, used + tokens)
            if not _within(*after[key], share.rows, share.tokens):
                return False
        self.rows += 1
        self.tokens += tokens
        self._of.update(after)
        return True


def text_at(fields: dict[str, Any], path: str) -> str:
    """The value at a payload path as a text; numbers, booleans and lists as JSON, and "" where there is none."""
    value = value_at(fields, path)
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _within(rows: int, tokens: int, most_rows: int | None, most_tokens: int | None) -> bool:
    return (most_rows is None or rows <= most_rows) and (most_tokens is None or tokens <= most_tokens)


def _share(what: str, name: str, value: str | None, amount: str, k: int | None, tokens: int | None) -> SelectionLimit:
    field = resolve_field(name.strip())
    if field in NO_GROUPS:
        raise ConfigError(f"{what}: {field} makes no groups; name a field such as dataset, license or metadata.topic")
    number = amount.strip().removesuffix("%")
    if not (number.isascii() and number.isdigit()):
        raise ConfigError(f"{what}: {amount!r} is no number of rows and no per cent, such as 100 or 30%")
    if "%" not in amount:
        return SelectionLimit(field=field, value=value, rows=int(number))
    if int(number) > 100:
        raise ConfigError(f"{what}: {amount} is more than everything; give 0% to 100%")
    return SelectionLimit(
        field=field,
        value=value,
        rows=None if k is None else _part(k, int(number)),
        tokens=None if tokens is None else _part(tokens, int(number)),
    )


def _part(amount: int, per_cent: int) -> int:
    """So many per cent, rounded down, but not to nothing."""
    return max(amount * per_cent // 100, 1 if per_cent else 0)
