"""Create the Faust app of each stage, and the sending app of the web process.

stage = Stage.load("ingest")
app = stage.app            # the name that ``faust -A agents.ingest worker -l info`` expects
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar

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
    lost_messages,
    member_id,
    on_dead_letter,
    prepare,
    reject,
    resent_messages,
    unready,
)
from pipeline import heartbeats
from pipeline.chat.presence import Presence
from pipeline.chat.records import INTERNAL_ERROR, Inbound, Prompt, Turn, TurnOutcome
from pipeline.chat.repairs import RepairableSessions
from pipeline.errors import MessageRejected, SettingsError
from pipeline.open_files import raise_open_files
from pipeline.redis.client import connect
from pipeline.redis.memory import probe_writing
from pipeline.settings import Settings
from pipeline.telemetry import refusals, tracing
from pipeline.telemetry.logs import logging_config
from pipeline.telemetry.losses import LossCounts, LossLog
from pipeline.telemetry.metrics import CONTENT_TYPE, exposition, sent
from pipeline.telemetry.stages.exported import of_faust, of_worker
from pipeline.telemetry.stages.report import Report, keep_reporting, save
from pipeline.telemetry.stages.snapshot import SESSION_TIMEOUT
from pipeline.telemetry.stages.work import WorkSensor
from pipeline.worker.containment import end_when_stuck, limit_memory, limit_stop
from pipeline.worker.counting_monitor import CountingMonitor
from pipeline.worker.no_tables import NoTables
from pipeline.worker.page_guard import guard_pages
from pipeline.worker.replays import REPLAYED_HEADER, revive
from pipeline.worker.topics import Sender, Topics, message_id, send

logger = logging.getLogger(__name__)

# Seconds that /readyz waits for Redis to accept a write.
_PROBE_SECONDS = 2.0

# Metrics of the process, not of its stage.
_PROCESS_FIGURES: Final[tuple[Callable[[], Iterable[Metric]], ...]] = (sent, refusals.figures)

M = TypeVar("M", Inbound, Turn, Prompt, TurnOutcome)


class StageTopics(Protocol):
    """The topics a stage sends to."""

    @property
    def ingest(self) -> Sender:
        """The topic for messages that come too early."""

    @property
    def enrich(self) -> Sender:
        """The topic for opened turns."""

    @property
    def infer(self) -> Sender:
        """The topic for prompts."""

    @property
    def deliver(self) -> Sender:
        """The topic for outcomes."""


@dataclass(frozen=True)
class Stage:
    """The app of one stage and the objects that its agent uses.

    Attributes:
        redis: the client that ``sessions`` and ``presence`` share; closed when the worker stops.
        inputs: the topics to read from.
        topics: the same topics, to send to.
        work: the sensor that measures the agent.
        figures: functions that yield the metrics of /metrics.
    """

    app: faust.App
    settings: Settings
    redis: Redis
    sessions: RepairableSessions
    presence: Presence
    inputs: Topics
    topics: StageTopics
    work: WorkSensor
    figures: list[Callable[[], Iterable[Metric]]]

    @classmethod
    def load(cls, name: str) -> Self:
        """Create a stage from the environment; exit with one line when a setting is invalid."""
        try:
            settings = Settings.load()
            raise_open_files()
            tracing.setup(name)
            return cls.create(name, settings)
        except SettingsError as exc:
            raise SystemExit(str(exc)) from None

    @classmethod
    def create(cls, name: str, settings: Settings) -> Self:
        """Create a stage without connecting to Redis yet."""
        app = create_app(name, settings)
        redis = connect(settings.redis_url)
        _add_pages(app, redis)
        topics = Topics(app)
        work = WorkSensor(name, settings.infer_concurrency if name == "infer" else 0)
        app.sensors.add(work)
        losses = LossLog(lambda: LossCounts(lost_messages(app), resent_messages(app)))
        figures: list[Callable[[], Iterable[Metric]]] = [
            partial(of_worker, work),
            partial(of_faust, app),
            *_PROCESS_FIGURES,
        ]
        _add_metrics(app, figures)

        sessions = RepairableSessions(redis, settings)

        @app.task  # type: ignore[untyped-decorator]
        async def warm_up() -> None:
            await prepare(app, (topics.enrich, topics.infer, topics.deliver))
            await sessions.prepare()

        app.task(end_when_stuck)

        @app.task  # type: ignore[untyped-decorator]
        async def report() -> None:
            await keep_reporting(partial(_report, work, losses), partial(save, redis, name, member_id(app)))

        async def close(*_args: Any, **_kwargs: Any) -> None:
            await redis.aclose()
            await asyncio.to_thread(tracing.flush)

        app.on_before_shutdown.connect(close)
        return cls(app, settings, redis, sessions, Presence(redis), topics, topics, work, figures)


def leave_process_figures_to_first(stages: Sequence[Stage]) -> None:
    """Keep the metrics of the process on the page of its first stage only, so that a sum counts them once."""
    for stage in stages:
        stage.work.stages = len(stages)
    for stage in stages[1:]:
        stage.work.is_first = False
        stage.figures[:] = [each for each in stage.figures if each not in _PROCESS_FIGURES]


def create_app(stage: str, settings: Settings) -> faust.App:
    """Create the Faust app of a stage.

    Args:
        stage: the app's id, which is also the name of its consumer group.
    """
    folder = Path(settings.data_dir) / "faust" / stage
    app = faust.App(
        stage,
        broker=settings.redis_url,
        topic_partitions=settings.partitions,
        topic_replication_factor=1,
        # Seconds until the partitions of a dead worker get another owner.
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=1.0,
        # Seconds for which a model call may delay a rebalance of the other workers of its stage.
        broker_rebalance_timeout=10.0,
        broker_commit_interval=0.2,
        web_bind=settings.host,
        web_port=settings.agent_port(stage),
        datadir=str(folder),
        logging_config=logging_config(settings.app_env),
        Monitor=CountingMonitor,
        web_router_enabled=False,
        web_tables_enabled=False,
        TableManager=NoTables,
        # A stage that stops finishes the events at work, which another worker would have to repeat.
        stream_wait_empty=True,
    )

    # The process runs only this app, so tuning the garbage collector affects nothing else. A message that
    # kills its worker is given up after the third death at most, because all sessions of the stage wait for
    # each restart. A session has one turn at a time, so its prompts have no order that infer could lose.
    ordinary_deaths = 1 if stage == "infer" else 2
    configure(app, Options(freeze_gc=True, take_overs=3, ordinary_deaths=ordinary_deaths))

    def begin_heartbeats(*_args: Any, **_kwargs: Any) -> None:
        # The loop turns soon, and before Redis answers.
        heartbeats.begin(app.loop)

    def make_folder(*_args: Any, **_kwargs: Any) -> None:
        # Faust creates only the last folder of the path; commands other than the worker need no folder.
        folder.parent.mkdir(parents=True, exist_ok=True)

    def limit_its_stop(*_args: Any, **_kwargs: Any) -> None:
        app.on_before_shutdown.connect(limit_stop)

    app.on_worker_init.connect(make_folder)
    app.on_worker_init.connect(limit_memory)
    app.on_worker_init.connect(limit_its_stop)
    app.on_worker_init.connect(begin_heartbeats)
    guard_pages(app, settings)
    return app


def create_producer(settings: Settings) -> faust.App:
    """Create an app that only sends messages.

    Call ``faust_redis.prepare`` before the first ``send``, and ``await app.producer.stop()`` at the end.
    """
    app = faust.App(
        "web", broker=settings.redis_url, topic_partitions=settings.partitions, topic_replication_factor=1
    )
    # The web process itself sends lost messages again: it knows which of them have ended with an error.
    configure(app, Options(resend_seconds=0))
    return app


def entry_name(message: Message) -> str:
    """Return the name of a message's stream entry, which is the same for each attempt."""
    return f"{message.topic}:{message.partition}:{message.offset}"


async def run_with_retries(
    stage: Stage,
    event: Any,
    handle: Callable[[M, str], Awaitable[None]],
    give_up: Callable[[M, str], Awaitable[None]],
) -> None:
    """Handle one event; give it up after its last failed attempt, so that its client gets an error.

    A failure is reported to the transport, which repeats the event or moves it to the dead letters. It is not
    raised, because Faust restarts an agent that raises too often only after a pause.

    Args:
        stage: the stage that got the event.
        handle: called with the message and the name of its stream entry, which is the same for each attempt.
        give_up: called with the same arguments; ends the message's turn with an error.
    """
    entry = entry_name(event.message)
    subject = message_id(event.value)
    tracing.MESSAGE.set(subject)
    if not tracing.enabled():
        await _attempt(stage, event, entry, handle, give_up, None)
        return
    with tracing.processing(subject, event, attempts_before(event) + 1) as span:
        await _attempt(stage, event, entry, handle, give_up, span)


def give_up_killers(stage: Stage, topic: TopicT, give_up: Callable[[Any, str], Awaitable[None]]) -> None:
    """Give up a message that repeatedly killed its worker, like ``run_with_retries`` after its last attempt.

    Args:
        topic: the agent's topic.
        give_up: called with the message and the name of its stream entry.
    """

    async def called(message: Message, error: BaseException) -> None:
        if isinstance(error, WorkerDiedError) and message.topic == topic.get_topic_name():
            event: Any = await topic.decode(message)
            await give_up(event.value, entry_name(message))

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
    """Send an outcome that ends a turn with an internal error."""
    logger.error("giving up turn %s of session %.8s…", turn, token)
    await send(stage.topics.deliver, TurnOutcome(token=token, turn=turn, error=INTERNAL_ERROR))


def _report(work: WorkSensor, losses: LossLog) -> Report:
    of_process = refusals.reported() if work.is_first else {}
    return replace(work.report(), losses=losses.take(time.time()), **of_process)


def _add_metrics(app: faust.App, figures: list[Callable[[], Iterable[Metric]]]) -> None:
    @app.page("/metrics")
    async def metrics(view: View, request: Request) -> Response:
        """Return the metrics of this worker in Prometheus' format."""
        body = exposition(*(yielding() for yielding in figures))
        return view.bytes(body, headers={"Content-Type": CONTENT_TYPE})


def _add_pages(app: faust.App, redis: Redis) -> None:
    @app.page("/healthz")
    async def healthz(view: View, request: Request) -> Response:
        """Return 200 while the process and its event loop are alive."""
        return view.json({"status": "ok"})

    @app.page("/readyz")
    async def readyz(view: View, request: Request) -> Response:
        """Return 200 while the stage takes messages, else 503 with the reason."""
        reason = unready(app) or await _refuses_writes(redis, app.conf.id)
        if reason is None:
            return view.json({"status": "ready"})
        return view.json({"status": "unready", "reason": reason}, status=503)


async def _refuses_writes(redis: Redis, stage: str) -> str | None:
    """Return the reason why Redis accepts no writes, None when it does."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await probe_writing(redis, stage)
    except OutOfMemoryError:
        return "Redis is full: used memory is above maxmemory"
    except (RedisError, OSError) as exc:
        return f"Redis accepts no writes: {type(exc).__name__}"
    return None
