"""Find the embedded servers that run on this machine, by the state files in their folders."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import redis

from pipeline.errors import EmbeddedRedisError

STATE_FILE = "running.json"
# Seconds for one command: enough for a busy machine, and short enough to notice at once that the process has
# died.
_COMMAND_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class RunningServer:
    """A running embedded Redis, from its state file.

    Attributes:
        url: the address it listens on.
        folder: the folder that holds its data.
        pid: the id of its process.
        version: the version of Redis.
        module_version: the version of RedisJSON.
        origin: where the server was found, in words.
    """

    url: str
    folder: str
    pid: int
    version: str
    module_version: str
    origin: str


def write_state(server: RunningServer) -> None:
    """Write the state file of a server, in one step."""
    state = Path(server.folder) / STATE_FILE
    draft = state.with_suffix(".new")
    draft.write_text(json.dumps(asdict(server)), encoding="utf-8")  # only the owner may enter the folder
    draft.replace(state)


def folder_of(data_dir: str, port: int) -> Path:
    """Return the folder of the embedded Redis that belongs to a web port."""
    return Path(data_dir) / str(port) / "redis"


def running(folder: Path) -> RunningServer | None:
    """Return the server that runs on ``folder``; None if no server does."""
    try:
        state = RunningServer(**json.loads((folder / STATE_FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # After a kill -9 the file stays, and the port may have another owner by now, so compare the process id.
    try:
        with client_of(state.url) as client:
            alive = client.info("server")["process_id"] == state.pid
    except (redis.RedisError, KeyError):
        return None
    return state if alive else None


def running_of(data_dir: str, port: int) -> RunningServer:
    """Return the server that ``parley up`` runs for ``port``; if there is none, the only one of any port.

    Raises:
        EmbeddedRedisError: no server runs, or several do and none belongs to this port.
    """
    if mine := running(folder_of(data_dir, port)):
        return mine
    others: dict[str, RunningServer] = {}
    for folder in sorted(Path(data_dir).glob("*/redis")):
        if found := running(folder):
            others[folder.parent.name] = found
    if len(others) == 1:
        return next(iter(others.values()))
    if others:
        ports = ", ".join(f"PORT={each}" for each in others)
        raise EmbeddedRedisError(f"several run, none of PORT={port}", (f"select one by PORT: {ports}",))
    raise EmbeddedRedisError(
        "no embedded Redis runs", ("start it with `make up`", "set REDIS_URL to your own Redis")
    )


@contextlib.contextmanager
def client_of(url: str) -> Iterator[redis.Redis]:
    """Connect to a server for as long as the context lasts; close the connection at its end."""
    # Connections are short, so they take no command to greet the server: `up` opens one a second.
    client = redis.Redis.from_url(
        url,
        protocol=2,
        driver_info=None,
        socket_timeout=_COMMAND_TIMEOUT_SECONDS,
        socket_connect_timeout=_COMMAND_TIMEOUT_SECONDS,
    )
    try:
        yield client
    finally:
        client.close()
