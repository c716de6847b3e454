"""Run a real Redis with RedisJSON on one machine, for users who have not set the address of another.

Its data is in a folder of its own, with the append-only file on, and is kept between runs. The server listens
on a Unix socket in that folder, which only its owner may enter, and on no port, because every user and every
program of the machine can reach a port of the loopback. If the path of the folder is too long for a socket,
it listens on a port of the loopback with a random password. The folder is locked while the server runs
(``parley.local.data_folder``), so two servers can't share its files:

    <data dir>/<PORT>/redis/running.json    the address of the server, only while it runs
    <data dir>/<PORT>/redis/redis.log       the log of the last run
    <data dir>/<PORT>/redis/redis-*.sock    the socket, only while it runs; its name holds the process id
                                            of the program that runs the server
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import quote

import redis

from parley.local.append_only_files import FOLDER, require_whole_files
from parley.local.data_folder import DataFolder
from parley.local.memory import maxmemory_bytes, output_limit
from parley.local.ports import free_port
from parley.local.running_servers import (
    STATE_FILE,
    RunningServer,
    client_of,
    folder_of,
    running,
    running_of,
    write_state,
)
from parley.local.server_binaries import ServerBinary, find_server
from parley.local.start_failures import start_failure
from pipeline.errors import EmbeddedRedisError

__all__ = [
    "EmbeddedRedis",
    "RunningServer",
    "ServerBinary",
    "find_server",
    "folder_of",
    "running",
    "running_of",
]

HOST = "127.0.0.1"

# Enough to load a big append-only file; a server that hangs must not block the start forever.
_LOADING_TIMEOUT_SECONDS = 300.0
_POLL_SECONDS = 0.02
# Another process may take a free port before the server listens on it; twice in a row is unlikely.
_PORT_ATTEMPTS = 3
# The maximum length in bytes of a Unix socket's path on Linux (sun_path, without the zero at its end).
_LONGEST_SOCKET_PATH = 107


class EmbeddedRedis:
    """One redis-server process and its folder; also a context manager.

    Not thread-safe. Call ``start`` and ``spawn`` in the main thread, because Linux ends the server when the
    thread that started it ends.
    """

    def __init__(
        self,
        folder: Path,
        server: ServerBinary | None = None,
        preexec: Callable[[], None] | None = None,
        *,
        maxmemory: int = 0,
    ) -> None:
        """Prepare the server; :meth:`start` starts it.

        Args:
            folder: the folder for its data; made if absent.
            server: the server to run; None for that of ``find_server``.
            preexec: called in the new process before it becomes redis-server.
            maxmemory: bytes above which it refuses writes; 0 for a share of this machine's memory.
        """
        self.folder = folder
        self._maxmemory = maxmemory_bytes(maxmemory)
        self.process: subprocess.Popen[bytes] | None = None
        self._server = server
        self._preexec = preexec
        self._port = 0
        # Of characters that need no quotes in a URL or in the configuration.
        self._password = secrets.token_urlsafe(32)
        self._data = DataFolder(folder)
        self._socket = folder.absolute() / f"redis-{os.getpid()}.sock"
        self._has_socket = len(os.fsencode(self._socket)) <= _LONGEST_SOCKET_PATH

    @property
    def url(self) -> str:
        """The URL of the server, with its password if it has one; valid after ``start``."""
        if self._has_socket:
            return f"unix://{quote(str(self._socket))}?db=0"
        return f"redis://:{self._password}@{HOST}:{self._port}/0"

    @property
    def advice(self) -> str | None:
        """A line about missing security fixes of the server; None if it has all, or is not chosen yet."""
        return None if self._server is None else self._server.advice

    def start(self, say: Callable[[str], None] = lambda _line: None) -> RunningServer:
        """Start the server and wait until it has loaded its data.

        A server that an earlier run has left on the folder may end first; one that does not is killed.

        Args:
            say: called with a line if that takes long.

        Raises:
            EmbeddedRedisError: it does not run here, another process uses the folder, or it can't be used.
        """
        self._server = self._server or find_server()
        try:
            self._data.reserve(say)
            for attempt in range(_PORT_ATTEMPTS):
                self._port = 0 if self._has_socket else free_port(HOST)
                self.spawn()
                try:
                    return self.wait_ready()
                except EmbeddedRedisError as exc:
                    if self._has_socket and "Unix socket" in exc.reason:
                        self._has_socket = False  # not every file system supports sockets
                    elif "Address already in use" not in exc.reason:
                        raise
                    if attempt + 1 == _PORT_ATTEMPTS:
                        raise
            raise AssertionError("unreachable: the last attempt returns or raises")
        except BaseException:
            self.stop()
            raise

    def spawn(self) -> None:
        """Start the process without waiting for it; one that died is started again on its old port.

        Raises:
            EmbeddedRedisError: the folder can't be used, or its data is damaged.
            OSError: the process can't be started.
        """
        assert self._server is not None, "start() comes first"  # noqa: S101
        with self._data.output() as log:
            require_whole_files(self.folder)
            self.process = subprocess.Popen(  # noqa: S603
                [str(self._server.binary), *self._arguments(self._server), "-"],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._preexec,
            )
        # Through standard input, because every user of the machine sees the arguments of a process.
        assert self.process.stdin is not None, "stdin is a pipe"  # noqa: S101
        with contextlib.suppress(BrokenPipeError), self.process.stdin as configuration:
            configuration.write(b"" if self._has_socket else f"requirepass {self._password}\n".encode())

    def wait_ready(self) -> RunningServer:
        """Wait until the server answers and has loaded its data.

        Raises:
            EmbeddedRedisError: it ended, did not become ready in time, or has no RedisJSON.
        """
        assert self.process is not None, "spawn() comes first"  # noqa: S101
        assert self._server is not None, "start() comes first"  # noqa: S101
        deadline = time.monotonic() + _LOADING_TIMEOUT_SECONDS
        with client_of(self.url) as client:
            while not _answers(client):
                if self.process.poll() is not None:
                    raise self._failure("redis-server ended while starting")
                if time.monotonic() > deadline:
                    raise self._failure("redis-server did not become ready")
                time.sleep(_POLL_SECONDS)
            module = _json_version(client)
        if module is None:
            raise self._failure(f"{self._server.module} was not loaded")
        started = RunningServer(
            self.url,
            str(self.folder),
            self.process.pid,
            self._server.version,
            module,
            self._server.origin,
        )
        write_state(started)
        return started

    def responds(self) -> bool:
        """Return whether the server answers within a second, if only by an error; also if it does not run."""
        with client_of(self.url) as client:
            try:
                client.ping()
            except redis.TimeoutError:
                return False
            except (redis.RedisError, OSError):
                return True
        return True

    def is_reachable(self) -> bool:
        """Return whether clients can connect: the file of the socket is there."""
        return not self._has_socket or self._socket.exists()

    def restore_folder(self) -> bool:
        """Make and lock the folder again if it was deleted; return whether it, or the data in it, was.

        Raises:
            EmbeddedRedisError: another process uses the folder, or it can't be made.
        """
        return self._data.restore() or not (self.folder / FOLDER).exists()

    def end(self, timeout: float) -> None:
        """End the process, and kill it after ``timeout`` seconds; ``spawn`` may start another."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop the server, which saves its data, and release the folder; may be called twice.

        Args:
            timeout: seconds after which the process is killed; the append-only file keeps the data then too.
        """
        self.end(timeout)
        self.process = None
        if self._data.is_reserved:
            (self.folder / STATE_FILE).unlink(missing_ok=True)
            self._data.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _arguments(self, server: ServerBinary) -> list[str]:
        # Without the folder, whose name may hold any character: it is the working directory.
        return [
            *("--port", str(self._port)),  # 0 for no port
            *(
                ("--unixsocket", self._socket.name, "--unixsocketperm", "700")
                if self._has_socket
                else ("--bind", HOST)
            ),
            *("--appendonly", "yes"),
            *("--appendfsync", "everysec"),
            # After a kill -9 or a power loss the file may end in half a command: load all before it.
            *("--aof-load-truncated", "yes"),
            *("--save", ""),
            # Its own timer takes more than all commands of an idle service. BLOCK ends that much later.
            *("--hz", "2"),
            # Evicting a stream or a session to make room would lose messages silently.
            *("--maxmemory-policy", "noeviction"),
            # Without a limit one client could fill the memory of the machine.
            *("--maxmemory", str(self._maxmemory)),
            *("--client-output-buffer-limit", output_limit(self._maxmemory)),
            *("--loadmodule", str(server.module)),
        ]

    def _failure(self, what: str) -> EmbeddedRedisError:
        assert self._server is not None, "start() comes first"  # noqa: S101
        return start_failure(what, self._data.log, self._server)


def _answers(client: redis.Redis) -> bool:
    """Return whether the server is ready; it refuses PING while it loads its data."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _json_version(client: redis.Redis) -> str | None:
    """Return the version of RedisJSON as "2.8.4", None when it is not loaded."""
    for module in client.module_list():
        fields = {_text(key): value for key, value in module.items()}
        if _text(fields["name"]) == "ReJSON":
            number = int(fields["ver"])
            return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
    return None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
