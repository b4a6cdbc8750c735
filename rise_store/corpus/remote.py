"""Addresses that fsspec reads: `s3://`, `gs://`, `hf://`, `https://`, `memory://` ... Their secrets stay unsaid."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO, cast
from urllib.request import url2pathname

from rise_store.errors import InputError, UnreadableError

HASHED_REMOTE_BYTES = 1 << 30
"""Largest remote file that is read an extra time for its SHA-256, without which a run over it cannot be resumed."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
# a secret may hold slashes; a colon with digits up to a slash begins a port
_USER = re.compile(r"(?<=://)([^/@:]*:(?!\d+(?:/|$))[^@]*@|[^/@]*@)")
_VERSION_FIELDS = ("size", "ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "created", "blob_id")


def is_remote(name: str) -> bool:
    """Whether a name is an address for fsspec: `protocol://...`, but not `file://`."""
    return bool(_ADDRESS.match(name)) and not name.startswith("file://")


def local_path(name: str) -> str:
    """A path as it is; the path of a `file://` address."""
    if not name.startswith("file://"):
        return name
    rest = name.removeprefix("file://").removeprefix("localhost")
    return url2pathname(rest) if "%" in rest else os.path.normpath(rest)


def public_address(address: str) -> str:
    """An address without user, password, query and fragment: what may be printed and stored."""
    # github://organisation:repository@revision/... only looks as if it had a user
    parts = (part if part.startswith("github://") else _USER.sub("", part) for part in address.split("::"))
    return "::".join(re.split(r"[?#]", part, maxsplit=1)[0] for part in parts)


def address_filename(public: str) -> str:
    """The file name in an address: of `zip://a.csv::s3://...` a.csv, of `simplecache::s3://.../a.csv` that too."""
    first, _, rest = public.partition("::")
    return (first if "://" in first else rest).rpartition("/")[2]


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Says in one line, without secrets, what a file system raised: each raises errors of its own."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise problem(address, error) from None


def problem(address: str, error: Exception) -> InputError:
    """What went wrong at an address; an error's own words may repeat the address, and so its secrets."""
    name = public_address(address)
    if isinstance(error, ImportError):
        return _missing_package(address, address.split("::")[-1].partition("://")[0], error)
    if isinstance(error, FileNotFoundError):
        return UnreadableError(f"{name}: no such file; check the address, and that you may read it")
    words = " ".join(str(error).split())[:200]
    if name != address or not words:
        status = getattr(error, "status", None) or getattr(error, "errno", None)
        words = type(error).__name__ + (f" {status}" if status else "")
    return UnreadableError(f"{name}: cannot be read: {words}")


def open_filesystem(address: str) -> tuple[Any, str]:
    """fsspec's file system and path of an address.

    Raises:
        InputError: an unknown protocol, or one whose package is not installed.
    """
    import fsspec

    for part in address.split("::"):
        protocol = part.partition("://")[0]
        try:
            fsspec.get_filesystem_class(protocol)
        except ValueError:
            name = public_address(address)
            raise InputError(f"{name}: unknown protocol {protocol!r}; fsspec knows s3, gs, az, hf, https ...") from None
        except ImportError as error:
            raise _missing_package(address, protocol, error) from None
    with explained(address):
        return cast("tuple[Any, str]", fsspec.url_to_fs(address))


def _missing_package(address: str, protocol: str, error: ImportError) -> InputError:
    cause = error if error.name else error.__cause__
    package = (getattr(cause, "name", None) or "").partition(".")[0]
    which = f"the package {package}: pip install {package}" if package else f"another package: {error}"
    return InputError(f"{public_address(address)}: reading {protocol}:// needs {which}")


class RemoteFile:
    """A file in a file system of fsspec."""

    is_rereadable = True

    def __init__(self, address: str, filesystem: Any, path: str, info: Mapping[str, Any]) -> None:
        """Takes what a listing said of the file; `at` asks for it."""
        self._address = address
        self._filesystem = filesystem
        self._path = path
        self._info = info
        self.name = public_address(address)
        self.filename = address_filename(self.name)
        self.size: int | None = info.get("size")

    @classmethod
    def at(cls, address: str) -> RemoteFile:
        """The file at an address. Raises `InputError` when there is none."""
        filesystem, path = open_filesystem(address)
        with explained(address):
            info = filesystem.info(path)
        if info.get("type") == "directory":
            raise InputError(f"{public_address(address)}: is a folder; name the files in it")
        return cls(address, filesystem, path, info)

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Opens it anew."""
        with explained(self._address):
            return cast("AbstractContextManager[BinaryIO]", self._filesystem.open(self._path, "rb"))

    def version(self) -> object:
        """What the file system says of it, asked anew."""
        with explained(self._address):
            self._filesystem.invalidate_cache()
            self._info = self._filesystem.info(self._path)
        self.size = self._info.get("size")
        return tuple(str(self._info.get(field)) for field in _VERSION_FIELDS)

    def known_sha256(self) -> str | None:
        """What the Hugging Face hub tells of large files."""
        lfs = self._info.get("lfs")
        return lfs.get("sha256") if isinstance(lfs, Mapping) else getattr(lfs, "sha256", None)

    def is_cheap_to_read(self) -> bool:
        """Up to `HASHED_REMOTE_BYTES`."""
        return self.size is not None and self.size <= HASHED_REMOTE_BYTES

    def explained(self, error: Exception) -> Exception:
        """Any error as an `InputError`."""
        return error if isinstance(error, InputError) else problem(self._address, error)
