"""Folders and patterns -> the files in them, sorted, the same at every call."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rise_store.corpus.locations import path_name, path_problem
from rise_store.corpus.remote import explained, is_remote, local_path, open_filesystem, public_address
from rise_store.errors import InputError

_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a folder."""

    relative: str  # its path within the folder, with slashes
    address: str  # what `locate` takes
    size: int = 0  # bytes as it lies there; 0 where unknown


@dataclass(frozen=True, slots=True)
class Folder:
    """Files that one name stands for."""

    name: str  # for messages, without secrets
    files: tuple[FoundFile, ...]  # sorted by `relative`


def expand(name: str | os.PathLike[str]) -> Folder | None:
    """The files of a folder or pattern, in it and below; None for a name of anything else, existing or not.

    Hidden files and folders are left out. Links are followed, and a folder that was seen is not entered again.
    A pattern has `*`, `?`, `[...]` or `**`, which stands for any number of folders; a folder that it matches stands
    for its files. Relative paths begin where the pattern does.

    Raises:
        InputError: a folder that cannot be read, or a pattern that nothing matches.
    """
    if isinstance(name, str) and is_remote(name):
        return _expand_remote(name)
    path = local_path(os.fspath(name))
    if "\0" in path or path == "-":
        return None
    if os.path.isdir(path):
        return Folder(path_name(path), tuple(_found(path, list(_walk(path)))))
    if not _MAGIC.search(path) or os.path.lexists(path):
        return None
    folder = _fixed_part(path, os.sep)
    if "**" in path:
        matches = re.compile(_expression(os.path.relpath(path, folder or os.curdir))).fullmatch
        relative = (
            [file for file in _walk(folder or os.curdir) if matches(file)] if os.path.isdir(folder or ".") else []
        )
    else:
        relative = []
        for match in glob.glob(path):
            below = os.path.relpath(match, folder or os.curdir).replace(os.sep, "/")
            relative += [f"{below}/{file}" for file in _walk(match)] if os.path.isdir(match) else [below]
    if not relative:
        raise InputError(f"{path_name(path)}: matches no file; check the pattern")
    return Folder(path_name(path), tuple(_found(folder, relative)))


def _found(folder: str, relative: list[str]) -> Iterator[FoundFile]:
    for file in sorted(set(relative), key=_order):
        path = os.path.join(folder, file)
        yield FoundFile(path_name(file), path, os.path.getsize(path) if os.path.exists(path) else 0)


def _order(relative: str) -> list[str]:
    return relative.split("/")  # a folder's files stand together


def _walk(folder: str) -> Iterator[str]:
    """Paths of all files below a folder, with slashes."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        here = os.path.join(folder, below)
        try:
            status = os.stat(here)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise path_problem(here, error) from None
        folders = []
        for entry in found:
            if entry.name.startswith("."):
                continue
            if _is_dir(entry):
                folders.append(f"{below}{entry.name}/")
            elif entry.is_symlink() or entry.is_file():  # a link that leads nowhere is found out when it is read
                yield below + entry.name
        waiting += reversed(folders)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _fixed_part(pattern: str, separator: str) -> str:
    """The folder in which a pattern begins."""
    return pattern[: _MAGIC.search(pattern).start()].rpartition(separator)[0]  # type: ignore[union-attr]


def _expression(pattern: str) -> str:
    """A regular expression for the paths, with slashes, that a pattern matches."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern.replace(os.sep, "/"))
    said = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        said.get(part) or (part.replace("[!", "[^") if part.startswith("[") and part.endswith("]") else re.escape(part))
        for part in parts
    )


def _expand_remote(address: str) -> Folder | None:
    filesystem, path = open_filesystem(address)
    name = public_address(address)
    with explained(address):
        if "*" in path:  # a question mark may begin a query, and a bracket hold an address of IPv6
            root = path.partition("*")[0].rpartition("/")[0]
            found = filesystem.glob(path, detail=True)
            files = {file: info for file, info in found.items() if info.get("type") != "directory"}
            if "**" not in path:
                for match in found.keys() - files.keys():
                    files |= filesystem.find(match, detail=True)
        elif _is_folder(filesystem, path):
            root, files = path.rstrip("/"), filesystem.find(path, detail=True)
        else:
            return None
    if not files and "*" in path:
        raise InputError(f"{name}: matches no file; check the pattern")
    below = {file.removeprefix(root).lstrip("/"): file for file in files}
    visible = [file for file in below if not any(part.startswith(".") for part in file.split("/"))]
    return Folder(
        name,
        tuple(
            FoundFile(file, _full_address(address, filesystem, below[file]), files[below[file]].get("size") or 0)
            for file in sorted(visible, key=_order)
        ),
    )


def _is_folder(filesystem: Any, path: str) -> bool:
    try:
        return bool(filesystem.info(path).get("type") == "directory")
    except FileNotFoundError:
        return False


def _full_address(given: str, filesystem: Any, path: str) -> str:
    """The address of a file that was found from the address `given`, with the user and what it is chained to."""
    found: str = filesystem.unstrip_protocol(path)
    first, link, rest = given.partition("::")
    if "://" not in first:  # such as simplecache::s3://...
        return f"{first}::{_with_user(rest, found)}"
    return _with_user(first, found) + link + rest


def _with_user(given: str, found: str) -> str:
    user = given[: len(given) - len(given.partition("://")[2])]
    secret = re.match(r"[^/@]*@", given[len(user) :])
    if secret is None or secret.group() in found:
        return found
    protocol, _, rest = found.partition("://")
    return f"{protocol}://{secret.group()}{rest}"
