"""``parley mcp``: the figures of all Faust apps as tools of the Model Context Protocol, over stdio.

It only reads, unless the operator allows changes; the content of messages is left out, unless they allow it.
What people wrote reaches a model only by that choice, because it could hold instructions to that model.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from faust_redis import BrokerAddressError, DeadLetters, NoSuchDeadLetterError, OptionError
from faust_redis.watching import Operator, Watch, client_of, entry_as_json, letter_as_json
from parley.cli.store import url_of
from parley.cli.times import moment
from pipeline.errors import ParleyError
from pipeline.settings import Settings
from pipeline.telemetry.stages.past import PastStages

audit_log = logging.getLogger("parley.audit")

#: Dead letters of one answer.
PAGE: Final = 20
INSTRUCTIONS: Final = (
    "Faust apps on Redis Streams. Begin with `apps`: it has the state of each app and the reason for it. "
    "Rates are per second, ages in seconds; null means unknown."
)


def run(
    settings: Settings, *, redis: str | None, namespace: str | None, private: bool, allow_changes: bool
) -> None:
    """Serve over stdin and stdout until the client closes them.

    Args:
        redis: the broker of the apps; None for the Redis of this service.
        private: include the content of messages.
        allow_changes: also offer the tools that change something.

    Raises:
        ParleyError: the package ``mcp`` is not installed, or the address is invalid.
    """
    try:
        library = import_module("mcp.server")
    except ImportError as exc:
        raise ParleyError("run: pip install 'parley[mcp]'") from exc
    try:
        client, named = client_of(redis or url_of(settings))
        tools = Tools(client, named if namespace is None else namespace, private)
    except (BrokerAddressError, OptionError, ValueError) as exc:
        raise ParleyError(str(exc)) from exc
    # Standard output belongs to the protocol.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    audit_log.setLevel(logging.INFO)
    server = library.MCPServer("parley", instructions=INSTRUCTIONS, log_level="WARNING")
    for tool in tools.reading:
        server.tool(annotations={"readOnlyHint": True})(tool)
    if allow_changes:
        for tool in tools.changing:
            server.tool(annotations={"readOnlyHint": False, "destructiveHint": True})(tool)
    asyncio.run(_serve(server, tools))


async def _serve(server: Any, tools: Tools) -> None:
    try:
        await server.run_stdio_async()
    finally:
        await tools.close()


@dataclass
class Tools:
    """The tools; their docstrings are what a model reads."""

    redis: Redis
    namespace: str
    private: bool

    def __post_init__(self) -> None:
        self._watch = Watch(self.redis, namespace=self.namespace)
        self._operator = Operator(self.redis, namespace=self.namespace)
        self._letters = DeadLetters(self.redis, namespace=self.namespace)
        self.reading: list[Callable[..., Any]] = [self.apps, self.app, self.topics]
        self.reading += [self.past, self.dead_letters, self.preview_replay, self.trace]
        self.changing: list[Callable[..., Any]] = [self.replay_dead_letters]

    async def close(self) -> None:
        """Close the connections."""
        await self._watch.stop()
        await self.redis.aclose()

    async def apps(self) -> dict[str, Any]:
        """List all apps: state and its reason, rates, backlog, generation, and the number of live workers."""
        snapshot = await self._snapshot()
        hidden = {"reads", "workers"}
        apps = [
            {name: value for name, value in asdict(app).items() if name not in hidden}
            | {
                "reads": [reading.topic for reading in app.reads],
                "live_workers": sum(worker.alive for worker in app.workers),
            }
            for app in snapshot.apps
        ]
        return {"at": snapshot.at, "apps": apps}

    async def app(self, name: str) -> dict[str, Any]:
        """Show one app: each partition with the worker that holds its lease, and each worker's heartbeat."""
        snapshot = await self._snapshot()
        found = next((asdict(app) for app in snapshot.apps if app.name == name), None)
        if found is None:
            raise ValueError(f"no app {name!r}; there are {[app.name for app in snapshot.apps]}")
        return found

    async def past(self, at: str) -> dict[str, Any]:
        """Show the chat service's stages as they were: `at` is 10m (ago), 14:03, or a date with a time."""
        past = await PastStages(self.redis).at(moment(at, datetime.now().astimezone()))
        if past is None:
            raise ValueError("no figures were recorded near that time; they are kept for a day")
        return past.as_json(private=False)

    async def topics(self) -> dict[str, Any]:
        """List all topics: kind, messages held and ever sent, dead letters, who writes and who reads them."""
        return {"topics": [asdict(topic) for topic in (await self._snapshot()).topics]}

    async def dead_letters(self, topic: str, before: str | None = None) -> dict[str, Any]:
        """Show dead letters of a topic, the latest first; `before`, the last id, gives the next page."""
        try:
            page = await self._letters.page([topic], before=before, count=PAGE)
        except NoSuchDeadLetterError as exc:
            raise ValueError(str(exc)) from exc
        return {"letters": [letter_as_json(letter, private=self.private) for letter in page]}

    async def preview_replay(
        self, topic: str, app: str | None = None, error: str | None = None
    ) -> dict[str, Any]:
        """Show which dead letters a replay would take: of one app, or whose error begins with a text."""
        return asdict(await self._operator.preview(topic, group=app, error=error))

    async def trace(self, topic: str, trace_id: str, cursor: str | None = None) -> dict[str, Any]:
        """Find the entries of a trace in a topic; `cursor` of the answer gives the next part."""
        page = await self._operator.search(topic, trace=trace_id, cursor=cursor)
        hits = [
            {"partition": partition, **entry_as_json(entry, private=self.private)}
            for partition, entry in page.hits
        ]
        return {"entries": hits, "searched": page.searched, "cursor": page.cursor}

    async def replay_dead_letters(self, ids: list[str]) -> dict[str, Any]:
        """Put dead letters back at the end of their topics, in this order."""
        done, missing = await self._operator.act("replay", ids)
        audit_log.info("admin action replay by mcp: letters=%d first=%r", done, ids[:1])
        return {"replayed": done, "missing": missing}

    async def _snapshot(self) -> Any:
        try:
            return await self._watch.snapshot()
        except (RedisError, OSError) as exc:
            raise ParleyError(f"Redis does not answer: {exc}") from exc
