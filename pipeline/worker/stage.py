"""Faust apps: one per stage, and one that only sends, for the web process.

stage = Stage.load("ingest")
app = stage.app            # what `faust -A agents.ingest worker -l info` looks for
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import faust
from faust.types import Message, TopicT
from faust.web import Request, Response, View
from opentelemetry.trace import Span
from prometheus_client.metrics_core import Metric
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from faust_redis import (
    Options,
    WorkerDiedError,
    attempts_before,
    configure,
    fail,
    is_last_attempt,
    member_id,
    on_dead_letter,
    prepare,
    reject,
    unready,
)
from pipeline.chat.presence import Presence
from pipeline.chat.records import INTERNAL_ERROR, Inbound, Prompt, Turn, TurnOutcome
from pipeline.chat.sessions import Sessions
from pipeline.errors import MessageRejected, SettingsError
from pipeline.open_files import raise_open_files
from pipeline.redis.client import connect
from pipeline.redis.memory import probe_writing
from pipeline.settings import Settings
from pipeline.telemetry import refusals, tracing
from pipeline.telemetry.logs import logging_config
from pipeline.telemetry.metrics import CONTENT_TYPE, exposition, sent
from pipeline.telemetry.stages.exported import of_faust, of_worker
from pipeline.telemetry.stages.report import keep_reporting
from pipeline.telemetry.stages.snapshot import SESSION_TIMEOUT
from pipeline.telemetry.stages.work import WorkSensor
from pipeline.worker.page_guard import page_guard
from pipeline.worker.replays import REPLAYED_HEADER, revive
from pipeline.worker.topics import Sender, Topics, message_id, send

logger = logging.getLogger(__name__)

# Seconds that the page /readyz waits for Redis to take a write.
_PROBE_SECONDS = 2.0

M = TypeVar("M", Inbound, Turn, Prompt, TurnOutcome)


class StageTopics(Protocol):
    """The topics a stage sends to."""

    @property
    def enrich(self) -> Sender:
        """Takes turns that were opened."""

    @property
    def infer(self) -> Sender:
        """Takes prompts."""

    @property
    def deliver(self) -> Sender:
        """Takes outcomes."""


@dataclass(frozen=True)
class Stage:
    """One stage's app and what its agent works with.

    Attributes:
        redis: the pool that `sessions` and `presence` share; closed when the worker stops.
        topics: where it sends to. `inputs` are the same topics, to read from.
        work: measures what its agent does.
        figures: what else its page /metrics shows.
    """

    app: faust.App
    settings: Settings
    redis: Redis
    sessions: Sessions
    presence: Presence
    inputs: Topics
    topics: StageTopics
    work: WorkSensor
    figures: list[Callable[[], Iterable[Metric]]]

    @classmethod
    def load(cls, name: str) -> Self:
        """Make a stage from the environment, or end the process with one line when a setting is wrong."""
        try:
            settings = Settings.load()
            raise_open_files()
            tracing.setup(name)
            return cls.create(name, settings)
        except SettingsError as exc:
            raise SystemExit(str(exc)) from None

    @classmethod
    def create(cls, name: str, settings: Settings) -> Self:
        """Make a stage; nothing is connected yet."""
        app = create_app(name, settings)
        redis = connect(settings.redis_url)
        _add_pages(app, redis)
        topics = Topics(app)
        work = WorkSensor(name)
        app.sensors.add(work)
        figures: list[Callable[[], Iterable[Metric]]] = [
            partial(of_worker, work),
            partial(of_faust, app),
            sent,
            refusals.figures,
        ]
        _add_metrics(app, figures)

        sessions = Sessions(redis, settings)

        @app.task  # type: ignore[untyped-decorator]
        async def warm_up() -> None:
            await prepare(app, (topics.enrich, topics.infer, topics.deliver))
            await sessions.prepare()

        @app.task  # type: ignore[untyped-decorator]
        async def report() -> None:
            await keep_reporting(redis, name, member_id(app), work.report)

        async def close(*_args: Any, **_kwargs: Any) -> None:
            await redis.aclose()
            await asyncio.to_thread(tracing.flush)

        app.on_before_shutdown.connect(close)
        return cls(app, settings, redis, sessions, Presence(redis), topics, topics, work, figures)


def create_app(stage: str, settings: Settings) -> faust.App:
    """Return the Faust app of a stage.

    Args:
        stage: the app's id, which is also the name of its consumer group.
    """
    folder = Path(settings.data_dir) / "faust" / stage
    app = faust.App(
        stage,
        broker=settings.redis_url,
        topic_partitions=settings.partitions,
        topic_replication_factor=1,
        # A dead worker's partitions wait this long for their next owner (s).
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=1.0,
        # A model call that outlasts this (s) no longer holds up the other workers of its stage.
        broker_rebalance_timeout=10.0,
        broker_commit_interval=0.2,
        web_bind=settings.host,
        web_port=settings.agent_port(stage),
        datadir=str(folder),
        logging_config=logging_config(settings.app_env),
        web_router_enabled=False,
        web_tables_enabled=False,
        # What a stage has begun it finishes before it stops, instead of leaving it to be done again.
        stream_wait_empty=True,
    )

    # One app is all that its process runs, so the collector may be tuned for it.
    configure(app, Options(freeze_gc=True))

    def make_folder(*_args: Any, **_kwargs: Any) -> None:
        # Faust makes the last part of the path and expects the others; only a worker that starts needs any.
        folder.parent.mkdir(parents=True, exist_ok=True)

    app.on_worker_init.connect(make_folder)
    app.web.web_app.middlewares.append(page_guard(settings))  # type: ignore[attr-defined]
    return app


def create_producer(settings: Settings) -> faust.App:
    """Return an app that only sends; it runs no worker, and its group reads nothing.

    Call `faust_redis.prepare` before the first `send`, `await app.producer.stop()` at the end.
    """
    return faust.App(
        "web", broker=settings.redis_url, topic_partitions=settings.partitions, topic_replication_factor=1
    )


async def run_with_retries(
    stage: Stage,
    event: Any,
    handle: Callable[[M, str], Awaitable[None]],
    give_up: Callable[[M, str], Awaitable[None]],
) -> None:
    """Handle one event; on the last of its attempts, give it up so that nobody waits for it.

    Either way the transport is told: it repeats the event, or moves it to the dead letters. The agent itself
    goes on, as Faust would restart an agent that raises too often only after a pause.

    Args:
        stage: whose event it is.
        handle: gets the message, and the name of its stream entry, which is the same each time.
        give_up: gets the same, and tells the session that this message failed.
    """
    message = event.message
    entry = f"{message.topic}:{message.partition}:{message.offset}"
    subject = message_id(event.value)
    tracing.MESSAGE.set(subject)
    if not tracing.enabled():
        await _attempt(stage, event, entry, handle, give_up, None)
        return
    with tracing.processing(subject, event, attempts_before(event) + 1) as span:
        await _attempt(stage, event, entry, handle, give_up, span)


def give_up_killers(stage: Stage, topic: TopicT, give_up: Callable[[Any, str], Awaitable[None]]) -> None:
    """Give up a message whose workers died of it, as :func:`run_with_retries` does after its last attempt.

    Args:
        topic: the agent's topic.
        give_up: gets the message and the name of its entry.
    """

    async def called(message: Message, error: BaseException) -> None:
        if isinstance(error, WorkerDiedError) and message.topic == topic.get_topic_name():
            event: Any = await topic.decode(message)
            await give_up(event.value, f"{message.topic}:{message.partition}:{message.offset}")

    on_dead_letter(stage.app, called)


async def _attempt(
    stage: Stage,
    event: Any,
    entry: str,
    handle: Callable[[M, str], Awaitable[None]],
    give_up: Callable[[M, str], Awaitable[None]],
    span: Span | None,
) -> None:
    try:
        if REPLAYED_HEADER in event.headers and not await revive(
            stage.sessions, stage.inputs.ingest, event.value
        ):
            return
        await handle(event.value, entry)
    except MessageRejected as rejected:
        if span is not None:
            tracing.failed(span, entry, rejected.error)
        stage.work.failed += 1
        reject(event, rejected.error)
    except Exception as error:
        if span is not None:
            tracing.failed(span, entry, error)
        stage.work.failed += 1
        if is_last_attempt(event):
            await give_up(event.value, entry)
        fail(event, error)


async def fail_turn(stage: Stage, token: str, turn: str) -> None:
    """Have deliver end a turn with an internal error."""
    logger.error("giving up turn %s of session %.8s…", turn, token)
    await send(stage.topics.deliver, TurnOutcome(token=token, turn=turn, error=INTERNAL_ERROR))


def _add_metrics(app: faust.App, figures: list[Callable[[], Iterable[Metric]]]) -> None:
    @app.page("/metrics")
    async def metrics(view: View, request: Request) -> Response:
        """Tell the figures of this worker to Prometheus."""
        body = exposition(*(yielding() for yielding in figures))
        return view.bytes(body, headers={"Content-Type": CONTENT_TYPE})


def _add_pages(app: faust.App, redis: Redis) -> None:
    @app.page("/healthz")
    async def healthz(view: View, request: Request) -> Response:
        """Say that the process and its event loop are alive."""
        return view.json({"status": "ok"})

    @app.page("/readyz")
    async def readyz(view: View, request: Request) -> Response:
        """Say whether the stage takes messages, and if not, why."""
        reason = unready(app) or await _refuses_writes(redis, app.conf.id)
        if reason is None:
            return view.json({"status": "ready"})
        return view.json({"status": "unready", "reason": reason}, status=503)


async def _refuses_writes(redis: Redis, stage: str) -> str | None:
    """Return why Redis takes no writes, None when it does."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await probe_writing(redis, stage)
    except OutOfMemoryError:
        return "Redis is full: used memory is above maxmemory"
    except (RedisError, OSError) as exc:
        return f"Redis takes no writes: {type(exc).__name__}"
    return None
