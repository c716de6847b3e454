"""Assemble the parts of the web process, and run it."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import structlog
import uvloop
from aiohttp import WSCloseCode, web

from faust_redis import freeze_startup_objects
from faust_redis.redis import cancel_and_wait, server_of
from pipeline import heartbeats
from pipeline.chat.node_stream import NodeStream
from pipeline.chat.presence import Presence
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.sessions import Sessions
from pipeline.edge.addresses import Addresses
from pipeline.edge.attempts import Attempts
from pipeline.edge.connections import Connections, room_for, watching
from pipeline.edge.file_reserve import FileReserve
from pipeline.edge.headers import HEADERS
from pipeline.errors import ParleyError
from pipeline.hosts import Hosts, listens_beyond_loopback
from pipeline.open_files import raise_open_files
from pipeline.redis.client import connect
from pipeline.redis.rates import Rates
from pipeline.settings import STAGES, Settings
from pipeline.telemetry import tracing
from pipeline.telemetry.logs import setup_logging
from pipeline.telemetry.stages.backlog import BacklogWatch
from pipeline.telemetry.stages.staffing import Staffing
from web import keys, limits, reload
from web.chat import handler as chat
from web.chat import node
from web.chat.hub import Hub
from web.chat.idle import close_idle_sockets
from web.chat.intake import Producer
from web.chat.producer import StageProducer
from web.edge.connection import Edge, EdgeRunner
from web.http import admin, health, metrics, sessions
from web.http.admin import private_pages
from web.http.base_path import add_below
from web.http.errors import errors_as_json
from web.http.hosts import hosts_middleware
from web.http.origins import cors_middleware, origins_middleware, own_origins
from web.limits.admission import AdmissionControl
from web.limits.queue_watch import QueueWatch
from web.pages import chat_page as pages
from web.pages import stages

log = structlog.get_logger(__name__)

_PARTS = (health, sessions, chat, pages, stages, metrics)
_ROOT = Path(__file__).resolve().parent.parent
_BACKLOG = 1024  # connections waiting for accept(): a thousand clients may reconnect at once


def create_app(settings: Settings, *, producer: Producer | None = None) -> web.Application:
    """Return the application; its parts start and stop with it.

    Args:
        settings: the settings of the service.
        producer: sends the messages of all sockets; by default to the topic of the first stage.
    """
    app = web.Application(
        middlewares=[
            cors_middleware(settings.cors_origins),
            metrics.measure,
            errors_as_json,
            hosts_middleware(Hosts(settings)),
            origins_middleware,
            private_pages(settings),
        ],
        client_max_size=limits.BODY_MAX_BYTES,
    )
    app[keys.SETTINGS] = settings
    app[keys.OPEN] = set()
    app[keys.NODE] = uuid.uuid4().hex
    app[keys.ADDRESSES] = Addresses(settings.trusted_proxies)
    app[admin.ATTEMPTS_KEY] = Attempts()
    app[keys.ORIGINS] = own_origins(settings)
    app[keys.EDGE] = edge = _edge(settings, app[keys.ADDRESSES])
    reserve = FileReserve(edge.connections)
    for part in _PARTS:
        part.add_routes(app)
    if settings.base_path:
        again = web.Application()
        for part in _PARTS:
            part.add_routes(again)
        add_below(app, again.router, settings.base_path)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(_close_sockets)
    # Started in this order and stopped in reverse, so that Redis is still connected for the last messages.
    app.cleanup_ctx.append(_redis)
    app.cleanup_ctx.append(_gate)
    app.cleanup_ctx.append(partial(_intake, producer=producer))
    app.cleanup_ctx.append(_hub)
    app.cleanup_ctx.append(node.reporting)
    app.cleanup_ctx.append(stages.watch)
    app.cleanup_ctx.append(lambda _app: watching(edge.connections))
    app.cleanup_ctx.append(lambda _app: reserve.watching())
    app.cleanup_ctx.append(close_idle_sockets)
    return app


def _edge(settings: Settings, addresses: Addresses) -> Edge:
    connections = Connections(
        per_address=settings.connections_per_address,
        room=room_for(raise_open_files()),
        unfinished_bytes=limits.unfinished_budget(settings.message_max_bytes),
        remedy="raise `nofile` or run more web processes",
    )
    return Edge(connections, addresses, limits.read_limit(settings.message_max_bytes))


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; several processes may serve one port.

    Raises:
        ParleyError: the process cannot listen on the port.
    """
    setup_logging(settings.app_env)
    tracing.setup("web")
    again = uvloop.run(_serve(settings))
    tracing.flush()
    if again:
        reload.restart()


async def _serve(settings: Settings) -> bool:
    """Serve until stopped; return whether to restart the process because its code has changed."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    heartbeats.begin(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = EdgeRunner(create_app(settings), shutdown_timeout=limits.HANDLER_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, reuse_port=True, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError as exc:
            place = f"{settings.host}:{settings.port}"
            raise ParleyError(f"cannot listen on {place} (HOST, PORT): {exc.strerror}") from exc
        freeze_startup_objects()
        log.info("listening", url=site.name, model=settings.model_kind)
        warn_of_strangers(settings)
        return await _until_stopped(stop, settings)
    finally:
        await runner.cleanup()
        log.info("stopped")


def warn_of_strangers(settings: Settings) -> None:
    """Log the safeguards that are not set although other machines can reach this process."""
    if not listens_beyond_loopback(settings.bind or settings.host):
        return
    rates = ("message_rate", "address_message_rate", "address_token_rate")
    missing = [name.upper() for name in (*rates, "admin_token") if getattr(settings, name) is None]
    if missing:
        log.warning("other machines can reach this service, and a safeguard is not set", missing=missing)
    if settings.public_pages:
        log.warning("the operators' pages are open to all, because PUBLIC_PAGES is true")


async def _until_stopped(stop: asyncio.Event, settings: Settings) -> bool:
    stopped = asyncio.create_task(stop.wait())
    waiting: set[asyncio.Task[bool] | asyncio.Task[Path]] = {stopped}
    if settings.app_env == "development":
        waiting.add(asyncio.create_task(reload.changed((_ROOT / "web", _ROOT / "pipeline"))))
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if stopped in done:
        return False
    log.info("the code changed; reloading", file=str(done.pop().result()))
    return True


async def _redis(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    app[keys.REDIS] = redis = connect(settings.redis_url)
    app[keys.SESSIONS] = Sessions(redis, settings, patience=limits.REDIS_PATIENCE_SECONDS)
    app[keys.STAFFING] = Staffing(STAGES)
    preparing = asyncio.create_task(Sessions(redis, settings).prepare(), name="prepare")
    yield
    await cancel_and_wait([preparing])
    await app[keys.SESSIONS].aclose()
    await redis.aclose()


async def _gate(app: web.Application) -> AsyncIterator[None]:
    settings, redis = app[keys.SETTINGS], app[keys.REDIS]
    watch = BacklogWatch(redis, settings.stage_limits(), settings.partitions)
    app[keys.GATE] = AdmissionControl(settings, Rates(redis), watch.pressure, watch.memory)
    queue = QueueWatch(redis, settings, app[keys.GATE])
    tasks = [asyncio.create_task(watch.run(), name="backlog"), asyncio.create_task(queue.run(), name="queue")]
    yield
    await cancel_and_wait(tasks)


async def _intake(app: web.Application, *, producer: Producer | None) -> AsyncIterator[None]:
    if producer is not None:
        app[keys.PRODUCER] = producer
        yield
        return
    own = StageProducer(app[keys.SETTINGS], app[keys.NODE])
    app[keys.PRODUCER] = own
    await own.start()
    yield
    await own.stop()


async def _hub(app: web.Application) -> AsyncIterator[None]:
    settings, redis = app[keys.SETTINGS], app[keys.REDIS]
    stream = NodeStream(redis, app[keys.NODE])
    hub = Hub(
        stream,
        Presence(redis),
        RepairableSessions(redis, settings),
        app[keys.GATE].in_flight,
        lambda: app[keys.PRODUCER],
        settings.model_deadline,
    )
    app[keys.HUB] = hub
    # On a cluster the node of a session may restart while the connection of the stream holds.
    server_of(redis).stream.on_lost = hub.repair.check_all
    await hub.start()
    yield
    await hub.stop()


async def _close_sockets(app: web.Application) -> None:
    closing = [outbox.close(WSCloseCode.GOING_AWAY, b"the server stops") for outbox in app[keys.OPEN]]
    await asyncio.gather(*closing, return_exceptions=True)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache")
