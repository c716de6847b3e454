"""Start the parts of the service, keep them running, and stop them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import aiohttp

from parley.cli.agent import ALL, health_port
from parley.cli.children import Child, Process
from parley.cli.console import Console
from parley.cli.redis_keeper import RedisKeeper
from parley.cli.retries import keep_trying
from parley.local.embedded import EmbeddedRedis
from parley.local.forks import ForkServer
from parley.local.liveness import describe_state
from parley.local.ports import bind_error, local_url
from pipeline.errors import SettingsError, describe_error
from pipeline.heartbeats import INTERVAL_VARIABLE, interval
from pipeline.masking import mask_url
from pipeline.settings import STAGES, Settings

# Time to stop each kind of process; with that of Redis below the 10 s after which ``up`` has ended.
_WEB_STOP_SECONDS = 2.5
_AGENT_STOP_SECONDS = 4.0

_READINESS_INTERVAL_SECONDS = 0.1
_READINESS_TIMEOUT = aiohttp.ClientTimeout(total=2)
_WAITING_NOTE_INTERVAL_SECONDS = 15.0
# Exit statuses of parts, as ``parley.cli`` defines them.
_EXIT_WRONG_SETTING = 2
_EXIT_PORT_TAKEN = 3
# The name of the one process of all agents.
_AGENTS = "agents"
# Seconds after the start in which the first messages come.
_IDLE_SECONDS = 2.0
# Seconds to tell a group that its worker died; without an answer its session times out.
_PUT_OUT_SECONDS = 1.0


class Supervisor:
    """Starts and stops the parts of the service."""

    def __init__(self, settings: Settings, redis: EmbeddedRedis | None, forks: ForkServer) -> None:
        """Prepare the parts; ``run`` starts them.

        Args:
            settings: the settings of all parts.
            redis: the embedded server, already started; None if REDIS_URL names another.
            forks: starts the processes; ``run`` closes it.
        """
        self._settings = settings
        self._redis = redis
        self._console = Console()
        self._forks = forks
        self._stop = asyncio.Event()
        self._status = 0
        self._ready = False
        self._agent_ports: dict[str, int] = {}
        if settings.single_agent_process:
            self._agents = [self._child(_AGENTS, "agent", ALL)]
        else:
            self._agents = [self._child(stage, "agent", stage) for stage in STAGES]
        several = settings.web_processes > 1
        names = [f"web.{n}" for n in range(1, settings.web_processes + 1)] if several else ["web"]
        self._webs = [self._child(name, "web") for name in names]

    async def run(self) -> int:
        """Run until a signal comes or a part refuses its settings; return the exit status.

        Raises:
            SettingsError: Redis has recorded another number of partitions.
            Exception: the first failure of a task before all parts were ready. Later ones are logged, and the
                task goes on.
        """
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(sig, self._stop.set)
        tasks: list[asyncio.Task[None]] = []
        try:
            tasks.append(self._supervise("up", self._keep_fork_server))
            await self._require_recorded_partitions()
            tasks += self._start_all()
            await self._stop.wait()
        finally:
            self._console.announce("Parley stops")
            await self._stop_all(self._webs, _WEB_STOP_SECONDS)
            await self._stop_all(self._agents, _AGENT_STOP_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._forks.close()
            self._console.close()
        for task in tasks:
            if not task.cancelled():
                task.result()
        return self._status

    def _start_all(self) -> list[asyncio.Task[None]]:
        """Start the tasks that keep the parts running, and the one that announces the service."""
        tasks = [
            self._supervise(child.name, partial(child.keep_running, partial(self._may_restart, child.name)))
            for child in (*self._agents, *self._webs)
        ]
        tasks.append(self._supervise("up", self._announce_ready))
        if self._redis is not None:
            say = partial(self._console.say, "redis")
            keeper = RedisKeeper(self._redis, say, self._settings.hang_timeout)
            tasks.append(self._supervise("redis", keeper.run))
        return tasks

    async def _require_recorded_partitions(self) -> None:
        """Check that the topics in Redis have the configured number of partitions; pass if Redis is away.

        In a process of its own, because ``faust_redis`` takes long to load and the fork server has it.

        Raises:
            SettingsError: they have another number.
        """
        lines: list[str] = []

        def start(output: int, heartbeats: int) -> Awaitable[Process]:
            return self._forks.fork(["recorded-partitions"], self._environment("up"), output, heartbeats)

        asking = Child("up", start, lambda _name, line: lines.append(line))
        await asking.keep_running(lambda _status: False)
        recorded = {int(line) for line in lines if line.isdecimal()}
        if others := recorded - {self._settings.partitions}:
            raise wrong_partitions(self._settings.partitions, max(others))

    def _supervise(self, name: str, attempt: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start a task that goes on after each failure; one that fails before all is ready ends ``run``."""
        say = partial(self._console.say, name)
        task = asyncio.create_task(keep_trying(attempt, say, may_raise=lambda: not self._ready))
        task.add_done_callback(self._end_if_failed)
        return task

    def _end_if_failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._stop.set()

    def _child(self, name: str, *arguments: str) -> Child:
        def start(output: int, heartbeats: int) -> Awaitable[Process]:
            return self._forks.fork(arguments, self._environment(name), output, heartbeats)

        on_death = partial(self._put_out, name) if _stages_of(name) else None
        hang_timeout = self._settings.hang_timeout
        return Child(name, start, self._console.say, on_death, hang_timeout=hang_timeout)

    async def _put_out(self, name: str, pid: int) -> None:
        """Expel a dead agent from its groups, so that its partitions move before its session times out."""
        from redis.exceptions import RedisError

        from faust_redis import expel
        from pipeline.redis.client import connect

        redis = connect(self._redis_url())
        try:
            async with asyncio.timeout(_PUT_OUT_SECONDS):
                for stage in _stages_of(name):
                    await expel(redis, stage, pid)
        except (RedisError, OSError) as exc:
            self._console.say(name, f"its group waits for its session to time out: {describe_error(exc)}")
        finally:
            await redis.aclose()

    def _redis_url(self) -> str:
        return self._settings.redis_url if self._redis is None else self._redis.url

    def _environment(self, name: str) -> Mapping[str, str]:
        """Return the environment for one start of a part; its port may differ each time."""
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        environment[INTERVAL_VARIABLE] = str(interval(self._settings.hang_timeout))
        if self._redis is not None:
            environment["REDIS_URL"] = self._redis.url
        for stage in _stages_of(name):
            # An agent whose port was chosen by the user and is taken ends with the error.
            chosen = self._settings.has_chosen_port(stage)
            port = self._settings.agent_port(stage) if chosen else health_port(stage, self._settings)
            self._agent_ports[stage] = port
            environment[f"{stage.upper()}_PORT"] = str(port)
        return environment

    def _may_restart(self, name: str, status: int) -> bool:
        """Return whether to restart a part that ended; one that refused its settings is not restarted.

        An agent whose port was taken after it had been found free gets another one, unless the user chose it
        and it is still taken.
        """
        refused = status == _EXIT_WRONG_SETTING or (status == _EXIT_PORT_TAKEN and self._lacks_port(name))
        if refused and not self._ready:
            self._status = _EXIT_WRONG_SETTING
            self._stop.set()
            return False
        return True

    def _lacks_port(self, name: str) -> bool:
        """Return whether a port is taken that the user chose for a part."""
        chosen = [stage for stage in _stages_of(name) if self._settings.has_chosen_port(stage)]
        return any(bind_error(self._settings.host, self._settings.agent_port(stage)) for stage in chosen)

    async def _stop_all(self, children: list[Child], timeout: float) -> None:
        await asyncio.gather(*(child.stop(timeout) for child in children))

    async def _keep_fork_server(self) -> None:
        """Kill the fork server when it hangs; the next start of a part starts another."""
        while True:
            pid = await self._forks.until_hung()
            self._console.say(
                "up", f"the fork server hangs, {describe_state(pid)}; it is ended with its parts"
            )
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(_READINESS_INTERVAL_SECONDS)

    async def _announce_ready(self) -> None:
        """Wait until every part is ready, then print the address of the service."""
        next_note = time.monotonic() + _WAITING_NOTE_INTERVAL_SECONDS
        async with aiohttp.ClientSession(timeout=_READINESS_TIMEOUT) as http:
            while waiting := await self._not_ready(http):
                if time.monotonic() > next_note:
                    self._console.announce(f"Still waiting for {', '.join(waiting)}")
                    next_note += _WAITING_NOTE_INTERVAL_SECONDS
                await asyncio.sleep(_READINESS_INTERVAL_SECONDS)
        self._ready = True
        settings = self._settings
        self._console.announce(f"Redis: {self._describe_redis()}")
        if self._redis is not None and (advice := self._redis.advice) is not None:
            self._console.announce(f"Note: {advice}")
        self._console.announce(f"Model: {describe_model(settings)}")
        self._console.announce(f"Parley is ready: {local_url(settings.host, settings.port)}")
        # For the first agent that dies, whose successor waits until it is expelled.
        await asyncio.sleep(_IDLE_SECONDS)
        await asyncio.to_thread(importlib.import_module, "faust_redis")

    async def _not_ready(self, http: aiohttp.ClientSession) -> list[str]:
        """Return the names of the parts that are not ready, empty when all are."""
        settings = self._settings
        web = local_url(settings.host, settings.port)
        agents = {stage: local_url(settings.host, port) for stage, port in self._agent_ports.items()}
        parts = [*self._agents, *self._webs]
        # Web processes share one port and the kernel distributes connections, so it is asked once for each.
        checks = [
            (part, url)
            for part in parts
            for url in [agents.get(stage, web) for stage in _stages_of(part.name)] or [web]
        ]
        replies = await asyncio.gather(*(_is_ready(http, url) for _, url in checks))
        unready = [part for (part, _), ready in zip(checks, replies, strict=True) if not ready]
        return [part.name for part in parts if part in unready or not part.alive]

    def _describe_redis(self) -> str:
        if self._redis is None:
            return self._settings.masked_redis_url()
        return f"embedded, {mask_url(self._redis.url)}; data in {_short(self._redis.folder)}"


def wrong_partitions(chosen: int, recorded: int) -> SettingsError:
    """Return the error for a number of partitions that differs from the recorded one."""
    allowed = f"{recorded}, with which the topics in Redis were created; another number needs an empty Redis"
    return SettingsError("PARTITIONS", str(chosen), allowed)


def _stages_of(name: str) -> tuple[str, ...]:
    """Return the stages whose agents a part runs."""
    if name == _AGENTS:
        return STAGES
    return (name,) if name in STAGES else ()


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    # A new connection for each request, or one web process would answer for all.
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with http.get(f"{url}/readyz", headers={"Connection": "close"}) as response:
            return response.status == 200
    return False


def describe_model(settings: Settings) -> str:
    """Return a description of the model."""
    if settings.model_kind == "eliza":
        return "ELIZA, built in; set HF_TOKEN or MODEL_URL for a language model"
    return f"{settings.model or 'the one served'} at {settings.masked_model_url()} ({settings.model_kind})"


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
