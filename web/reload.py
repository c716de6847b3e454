"""Restart the web process when its code changes, for development."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_POLL_SECONDS = 1.0


async def changed(folders: Iterable[Path], poll_seconds: float = _POLL_SECONDS) -> Path:
    """Wait until a .py file under ``folders`` changes, appears or disappears; return one such file.

    A file with invalid syntax does not count until it is repaired, because a process started on it would die.
    """
    folders = tuple(folders)
    before = await asyncio.to_thread(_times, folders)
    failing = False
    while True:
        await asyncio.sleep(poll_seconds)
        try:
            now = await asyncio.to_thread(_times, folders)
        except OSError as exc:  # no open files are left, which must not end the process
            if not failing:
                log.warning("watching the code failed; trying again", error=exc.strerror)
            failing = True
            continue
        failing = False
        different = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
        if not different:
            continue
        broken = [path for path in different if path in now and not _compiles(path)]
        if not broken:
            return different[0]
        log.warning("not reloading: the file does not compile", file=str(broken[0]))
        # Only the broken files count as seen, so that the others still trigger a restart after the repair.
        before |= {path: now[path] for path in broken}


def restart() -> None:
    """Replace this process by a new one with the same command; does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  our own command line


def _times(folders: Iterable[Path]) -> dict[Path, int]:
    return dict(_files(folders))


def _files(folders: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    for folder in folders:
        for path in folder.rglob("*.py"):
            try:
                yield path, path.stat().st_mtime_ns
            except FileNotFoundError:  # gone since it was listed
                continue


def _compiles(path: Path) -> bool:
    try:
        compile(path.read_bytes(), str(path), "exec")
    except (OSError, SyntaxError, ValueError):
        return False
    return True
