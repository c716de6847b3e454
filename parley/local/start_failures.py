"""Explain from its log why a redis-server did not start, with the ways out that help."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from parley.local.append_only_files import FOLDER, MANIFEST
from parley.local.server_binaries import WAYS_OUT, ServerBinary
from pipeline.errors import EmbeddedRedisError

__all__ = ["start_failure"]

#: Parts of Redis's last line when it can't read its own data, and whether ``redis-check-aof`` can mend it.
_DAMAGES: Final = {
    "Bad file format reading the append only file": True,
    "Unexpected end of file reading the append only file": True,
    "reading the append only file": False,
    "AOF manifest": False,
    "AOF file": False,
    "RDB": False,
    "crashed while loading its data": False,
}
#: Free bytes below which a disk counts as full: Redis writes a manifest, a base file and its log.
_LEAST_FREE_BYTES: Final = 64 * 1024
_CRASH: Final = " crashed by signal"


def start_failure(what: str, log: Path, server: ServerBinary) -> EmbeddedRedisError:
    """Return the error for a server that did not start.

    Args:
        what: the beginning of its text.
        log: the output of the server, in its data folder.
    """
    words = _last_words(log)
    if os.strerror(errno.ENOSPC) in words or _free_bytes(log.parent) < _LEAST_FREE_BYTES:
        return EmbeddedRedisError(
            f"{what}: no space is left in its data folder {log.parent}",
            ("free some space", "choose another folder with PARLEY_DATA_DIR"),
        )
    mendable = next((can_mend for part, can_mend in _DAMAGES.items() if part in words), None)
    if mendable is None:
        return EmbeddedRedisError(f"{what}: {words}", WAYS_OUT)
    data = log.parent.absolute() / FOLDER
    ways = [f"move {data} away to start without its data"]
    if mendable:
        check = shlex.join([str(_checker(server)), "--fix", str(data / MANIFEST)])
        ways.insert(0, f"copy {data}, then run `{check}`, which cuts off everything behind the damage")
    else:
        ways.insert(0, f"restore {data} from a backup")
    return EmbeddedRedisError(f"the data of Redis in {data} is damaged: {words}", tuple(ways))


def _checker(server: ServerBinary) -> Path | str:
    beside = server.binary.resolve().with_name("redis-check-aof")
    return beside if beside.is_file() else "redis-check-aof"


def _free_bytes(folder: Path) -> int:
    try:
        disk = os.statvfs(folder)
    except OSError:  # the folder was deleted meanwhile
        return _LEAST_FREE_BYTES
    return disk.f_bavail * disk.f_frsize


def _last_words(log: Path) -> str:
    """Return the last lines about an error, or else the last lines, without the warnings of every start."""
    try:
        lines = log.read_text("utf-8", "replace").split("\n")
    except OSError:
        return "it left no log"
    if any(_CRASH in line for line in lines):
        return "it crashed while loading its data"
    written = [line.strip() for line in lines if line.strip(" #") and "# WARNING" not in line]
    written = [line for line in written if not line.endswith("#")]
    failures = [line for line in written if "#" in line or "rror" in line or "already in use" in line]
    return " | ".join(_messages((failures or written)[-2:])) or "its log is empty"


def _messages(lines: Sequence[str]) -> list[str]:
    """Remove what Redis puts before a message: process, time, and ``#`` for a warning."""
    return [line.partition(" # ")[2] or line for line in lines]
