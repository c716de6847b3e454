"""Find damage to the files of an embedded Redis that Redis itself would start with, without a word.

Redis loads the files that its manifest lists. Without a manifest, or with one that lacks a file, it starts
with less than it had, or with nothing, and may write over what is there. The same holds for an empty base.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.errors import EmbeddedRedisError

__all__ = ["FOLDER", "MANIFEST", "require_whole_files"]

#: Where Redis keeps its data, in its working directory, and the list of the files there.
FOLDER: Final = "appendonlydir"
MANIFEST: Final = "appendonly.aof.manifest"
_FILE: Final = re.compile(r"appendonly\.aof\.(?P<number>\d+)\.(?P<kind>base|incr)\.(?:rdb|aof)")
_LISTED: Final = re.compile(r"^file (?P<name>\S+) seq \d+ type [bhi]\b", re.MULTILINE)


class _File(NamedTuple):
    """One file with data."""

    number: int
    name: str
    is_base: bool


def require_whole_files(folder: Path) -> None:
    """Check that the manifest lists all files with data.

    Args:
        folder: the working directory of the server; an absent or empty one passes.

    Raises:
        EmbeddedRedisError: there is no manifest, or it lacks a file, or the base is empty.
        OSError: the files can't be read.
    """
    data = folder.absolute() / FOLDER
    files = sorted(_files(data))
    manifest = data / MANIFEST
    if not manifest.exists():
        if files:
            raise _damaged(data, f"it has no {MANIFEST}", _rewritten(manifest, files))
        return
    listed = {found["name"] for found in _LISTED.finditer(manifest.read_text("utf-8", "replace"))}
    if files and not listed:
        raise _damaged(data, f"{MANIFEST} lists no file", _rewritten(manifest, files))
    for file in files:
        if file.name in listed and file.is_base and not (data / file.name).stat().st_size:
            raise _damaged(data, f"{file.name} is empty", f"restore {data} from a backup")
        if file.name not in listed and file.number > _last_number(files, listed, file.is_base):
            raise _damaged(data, f"{MANIFEST} lacks {file.name}", _rewritten(manifest, files))


def _files(data: Path) -> Iterator[_File]:
    """Yield the files with data, and an empty base: Redis makes an empty file before it lists it."""
    for path in data.glob("*") if data.is_dir() else ():
        if found := _FILE.fullmatch(path.name):
            is_base = found["kind"] == "base"
            if is_base or path.stat().st_size:
                yield _File(int(found["number"]), path.name, is_base)


def _last_number(files: Collection[_File], listed: Collection[str], is_base: bool) -> int:
    """Return the highest number of a listed file of a kind; Redis deletes older ones a moment after."""
    return max((file.number for file in files if file.name in listed and file.is_base == is_base), default=0)


def _rewritten(manifest: Path, files: Collection[_File]) -> str:
    """Return the way to a manifest of these files, if they leave no doubt about their order."""
    if sum(file.is_base for file in files) != 1:
        return f"restore {manifest.parent} from a backup"
    ordered = sorted(files, key=lambda file: (not file.is_base, file.number))
    lines = (f"file {file.name} seq {file.number} type {'b' if file.is_base else 'i'}" for file in ordered)
    command = f"printf '%s\\n' {shlex.join(lines)} > {shlex.quote(str(manifest))}"
    return f"copy {manifest.parent}, then list its files again: `{command}`"


def _damaged(data: Path, words: str, way: str) -> EmbeddedRedisError:
    ways = (way, f"move {data} away to start without its data")
    return EmbeddedRedisError(f"the data of Redis in {data} is damaged: {words}", ways)
