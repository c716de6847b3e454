"""The scene of the lab: the whole service, its Redis, and a model, with ways to reach and to disturb each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import redis

from parley.loadtest.lifting import LIFTED
from parley.loadtest.usage import by_kind, process_tree
from parley.local.embedded import EmbeddedRedis
from parley.local.lifetimes import die_with_parent
from pipeline.settings import STAGES
from tests.support.fault_proxy import Connection, FaultProxy, owner_of
from tests.support.model_server import ModelServer
from tests.support.redis_faults import RedisFaults
from tests.support.service import Up

PARTS = (*STAGES, "web")
WEB_PROCESSES = 2
# Tokens come one by one, so that most faults find answers under way.
_TOKENS = 6
_LATENCY_SECONDS = 0.05
_TOKEN_SECONDS = 0.02
# Seconds that Redis may take for an order of the lab's.
_ORDER_TIMEOUT_SECONDS = 2.0
_ORDER_PATIENCE_SECONDS = 60.0


class Scene:
    """The service under test.

    Attributes:
        disk: faults of Redis's disk and clock.
        network: the proxy before Redis, None if `parley up` runs Redis.
        model: the model server.
        model_network: the proxy before the model.
    """

    def __init__(
        self,
        up: Up,
        disk: RedisFaults,
        model: ModelServer,
        model_network: FaultProxy,
        network: FaultProxy | None = None,
        own_redis: EmbeddedRedis | None = None,
    ) -> None:
        self.up = up
        self.disk = disk
        self.model = model
        self.network = network
        self.model_network = model_network
        self._own_redis = own_redis
        self._calm = asyncio.Event()
        self._kinds: dict[Connection, str | None] = {}
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line with the time."""
        clock = time.strftime("%H:%M:%S")
        print(f"{clock} {time.monotonic() - self._began:6.1f} s  {text}", flush=True)

    def calm_down(self, *, calm: bool) -> None:
        """End all faults that hold, and let no new one hold until the opposite is called."""
        if calm:
            self._calm.set()
        else:
            self._calm.clear()

    async def hold(self, seconds: float) -> None:
        """Wait so many seconds, or until the faults must end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._calm.wait(), seconds)

    def pids(self, part: str) -> list[int]:
        """Return the processes of a part; also of `up`, `fork server` and `Redis`."""
        match part:
            case "up":
                return [self.up.process.pid]
            case "fork server":
                return [pid for pid in process_tree(self.up.process.pid) if "fork server" in _command(pid)]
            case "Redis":
                if self._own_redis is not None:
                    process = self._own_redis.process
                    return [process.pid] if process is not None and process.poll() is None else []
                return by_kind([self.up.process.pid]).get("Redis", [])
            case _:
                return by_kind([self.up.process.pid]).get(part, [])

    def send(self, part: str, sig: signal.Signals, rng: random.Random) -> int | None:
        """Send a signal to one process of a part; return its id, None if there is none."""
        pids = self.pids(part)
        if not pids:
            return None
        pid = rng.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
        return pid

    async def freeze(self, part: str, seconds: float, rng: random.Random) -> None:
        """Freeze one process of a part for so many seconds."""
        pid = self.send(part, signal.SIGSTOP, rng)
        self.say(f"freeze {part} ({pid}) for {seconds:.1f} s")
        try:
            await self.hold(seconds)
        finally:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def restart_redis(self, down_seconds: float) -> None:
        """Start Redis again after it was killed, unless `parley up` does it."""
        if self._own_redis is None or self._own_redis.process is None:
            return
        await asyncio.to_thread(self._own_redis.process.wait)
        await self.hold(down_seconds)
        # Not in a thread: Linux may end the server together with the thread that started it.
        self._own_redis.spawn()

    async def order(self, *command: str | int) -> Any:
        """Send a command to Redis, once loaded, past the proxy, and try again until it is executed.

        Redis replays its append-only file with the rights of the default user, so that one who takes rights
        away while it loads loses data, whatever its clients do.

        Raises:
            TimeoutError: it was not in a minute.
        """
        deadline = time.monotonic() + _ORDER_PATIENCE_SECONDS
        while True:
            try:
                return await asyncio.to_thread(self._command, *command)
            except (redis.RedisError, OSError, AssertionError) as exc:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{command}: {exc!r}") from exc
                await asyncio.sleep(0.1)

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[Callable[..., Awaitable[None]]]:
        """Return a function that sends commands over one connection, which `CLIENT KILL USER default` spares.

        Commands to a Redis that has died meanwhile have no effect: the next one starts with its settings.
        """
        await self.order("ACL", "SETUSER", "lab", "on", "nopass", "~*", "&*", "+@all")
        options = {"username": "lab", "password": "lab", "socket_timeout": _ORDER_PATIENCE_SECONDS}
        with redis.Redis.from_url(self._url, **options, retry=None) as client:

            async def order(*command: str | int) -> None:
                with contextlib.suppress(redis.RedisError, OSError):
                    await asyncio.to_thread(client.execute_command, *command)

            yield order

    def of_part(self, part: str | None) -> Callable[[Connection], bool]:
        """Return a filter for the connections of a part, None for all."""
        if part is None:
            return lambda _: True
        return lambda connection: self._kind(connection) == part

    def missing(self) -> list[str]:
        """Return the parts that have fewer processes than they should."""
        due = {**dict.fromkeys(STAGES, 1), "web": WEB_PROCESSES, "fork server": 1, "Redis": 1, "up": 1}
        if self.up.process.poll() is not None:
            return [f"up ended with {self.up.process.poll()}"]
        return [part for part, count in due.items() if len(self.pids(part)) < count]

    def _kind(self, connection: Connection) -> str | None:
        if connection not in self._kinds:
            pids = {pid: part for part in PARTS for pid in self.pids(part)}
            self._kinds[connection] = owner_of(connection.port, pids)
        return self._kinds[connection]

    @property
    def _url(self) -> str:
        return self._own_redis.url if self._own_redis is not None else self.up.redis_url

    def _command(self, *command: str | int) -> Any:
        timeouts = {
            "socket_timeout": _ORDER_TIMEOUT_SECONDS,
            "socket_connect_timeout": _ORDER_TIMEOUT_SECONDS,
        }
        # One connection, so that both commands reach the same process.
        with redis.Redis.from_url(self._url, **timeouts, single_connection_client=True, retry=None) as client:
            client.ping()
            return client.execute_command(*command)


@contextlib.asynccontextmanager
async def scene(folder: Path, *, proxied: bool) -> AsyncIterator[Scene]:
    """Run the service until the end of the block; its output is then in `folder`/up.log.

    Args:
        proxied: Redis is not that of `parley up`, and is behind a proxy.
    """
    async with contextlib.AsyncExitStack() as stack:
        disk = stack.enter_context(RedisFaults(folder))
        model = await stack.enter_async_context(
            ModelServer(latency=_LATENCY_SECONDS, tokens=_TOKENS, token_delay=_TOKEN_SECONDS)
        )
        model_network = await stack.enter_async_context(FaultProxy(int(model.url.rpartition(":")[2])))
        settings = {
            "MODEL_URL": f"http://127.0.0.1:{model_network.port}",
            "WEB_PROCESSES": str(WEB_PROCESSES),
            "APP_ENV": "production",
        }
        network = own_redis = None
        if proxied:
            own_redis = stack.enter_context(_with_environment(folder / "redis", disk.variables))
            server = own_redis  # on a socket, whose name may differ after each start
            network = await stack.enter_async_context(
                FaultProxy(lambda: Path(unquote(urlsplit(server.url).path)))
            )
            settings["REDIS_URL"] = f"redis://127.0.0.1:{network.port}/0"
        else:
            settings |= disk.variables
        up = Up(folder, **{**LIFTED, **settings})
        try:
            await asyncio.to_thread(up.wait_for, "Parley is ready")
            yield Scene(up, disk, model, model_network, network, own_redis)
        finally:
            with contextlib.suppress(ProcessLookupError):
                up.process.send_signal(signal.SIGCONT)
                up.process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(up.process.wait, 20)
            await asyncio.to_thread(up.close)
            (folder / "up.log").write_text("\n".join(up.lines), "utf-8")


@contextlib.contextmanager
def _with_environment(folder: Path, variables: dict[str, str]) -> Iterator[EmbeddedRedis]:
    """Run a Redis with the settings of `parley up` and with variables in its environment."""
    dies = die_with_parent(signal.SIGKILL)

    def prepare() -> None:
        os.environ.update(variables)
        dies()

    with EmbeddedRedis(folder, preexec=prepare) as server:
        yield server


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""
