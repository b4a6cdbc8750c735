"""Bytes -> text: never guessed, and never mojibake."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from rise_store.errors import InputError

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNMARKED = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}

MARK_BYTES = 4
"""How many bytes of the beginning `encoding_of` wants."""


def check_encoding(name: str | None) -> str | None:
    """The name that Python gives an encoding of text; None stays None. Raises `InputError` for one unknown."""
    if name is None:
        return None
    try:
        # lines are told apart before they are decoded, which EBCDIC and the like do not allow
        if "\n".encode(name).rstrip(b"\0").endswith(b"\n"):
            return codecs.lookup(name).name.replace("utf-8-sig", "utf-8")
    except (LookupError, ValueError):
        pass
    raise InputError(f"unknown encoding {name!r}; examples: utf-8, latin-1, cp1252, utf-16, shift_jis")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the text of one file stands in it."""

    name: str = "utf-8"
    mark: int = 0  # bytes of the byte order mark at its beginning

    @property
    def newline(self) -> bytes:
        """A newline, as it stands in the file: 1, 2 or 4 bytes."""
        return "\n".encode(self.name)

    def text(self, data: bytes | bytearray, location: str, unit: str = "the line") -> str:
        """The text of a row. Raises `InputError` with the offset of the first byte that is no text."""
        try:
            return data.decode(self.name)
        except UnicodeDecodeError as error:
            known = {"utf-8": "UTF-8", "ascii": "ASCII"}.get(self.name, self.name)
            advice = "save the file as UTF-8, or name its encoding" if self.name == "utf-8" else "check its encoding"
            raise InputError(
                f"{location}: invalid {known} at byte offset {error.start} of {unit} "
                f"(0x{data[error.start]:02x}); {advice}"
            ) from None


UTF_8 = Encoding()


def encoding_of(name: str | None, head: bytes) -> Encoding:
    """The encoding of a file that begins with `head`: its byte order mark tells, unless `name` contradicts it."""
    for mark, marked in _MARKS:
        if head.startswith(mark) and (name is None or marked == name or marked.startswith(f"{name}-")):
            return Encoding(marked, len(mark))
    return UTF_8 if name in (None, "utf-8") else Encoding(_UNMARKED.get(name, name))
