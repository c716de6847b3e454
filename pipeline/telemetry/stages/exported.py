"""Export the metrics of one worker, and of all stages from a sample, to Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import faust
from prometheus_client.metrics_core import Metric

from faust_redis import PartitionSample, lost_messages, resent_messages
from pipeline.chat.waiting import Inboxes
from pipeline.telemetry.metrics import OTHER_ERROR, SYSTEM, counter, gauge, histogram
from pipeline.telemetry.stages.sample import PipelineSample
from pipeline.telemetry.stages.snapshot import SESSION_TIMEOUT
from pipeline.telemetry.stages.work import WorkSensor


def of_worker(work: WorkSensor) -> Iterator[Metric]:
    """Yield the metrics that a worker has measured itself."""
    group = {
        **SYSTEM,
        "messaging_operation_name": "process",
        "messaging_destination_name": work.topic,
        "messaging_consumer_group_name": work.topic,
    }
    stage = {"stage": work.topic}
    yield histogram(
        "messaging_process_duration_seconds",
        "Duration of the agent's work on a message.",
        [(group, work.works)],
    )
    yield counter(
        "messaging_client_consumed_messages",
        "Finished attempts at a message, by outcome.",
        [
            ({**group, "error_type": ""}, work.handled - work.failed),
            ({**group, "error_type": OTHER_ERROR}, work.failed),
        ],
    )
    about = "Time from the sending of a message to the agent's start on it."
    yield histogram("parley_stage_wait_duration_seconds", about, [(stage, work.waits)])
    yield gauge("parley_stage_working", "Messages at work now.", [(stage, work.working)])
    yield counter("parley_stage_retries", "Attempts that were not the first.", [(stage, work.retried)])


def of_faust(app: faust.App) -> Iterator[Metric]:
    """Yield the counts of Faust's own monitor."""
    monitor = app.monitor
    stage = {"stage": app.conf.id}
    for name, about, value in (
        ("faust_messages_received", "Messages read from topics.", monitor.messages_received_total),
        ("faust_events", "Events that streams have yielded.", monitor.events_total),
        ("faust_rebalances", "Rebalances of the group that this worker saw.", monitor.rebalances or 0),
        ("faust_topic_buffer_full", "Times that a buffer was full.", sum(monitor.topic_buffer_full.values())),
    ):
        yield counter(name, about, [(stage, value)])
    yield of_losses(app, app.conf.id)
    about = "Messages that Redis had lost and that this process has sent again."
    yield counter("parley_redis_resent_messages", about, [(stage, resent_messages(app))])
    yield gauge(
        "faust_events_active",
        "Events that streams have yielded but not acked.",
        [(stage, monitor.events_active)],
    )


def of_losses(app: faust.App, stage: str) -> Metric:
    """Return the number of messages that Redis confirmed to this process and has lost since."""
    about = "Messages that Redis had confirmed to this process and lost, in a failover or a restore."
    return counter("parley_redis_lost_messages", about, [({"stage": stage}, lost_messages(app))])


def of_stages(sample: PipelineSample) -> Iterator[Metric]:
    """Yield the metrics of all stages, equal in every web process."""
    for name, about, of in _COUNTERS:
        yield counter(name, about, _of_partitions(sample, of))
    for name, about, of in _GAUGES:
        yield gauge(name, about, _of_partitions(sample, of))
    alive = {
        stage: sum(sample.at - worker.beat < SESSION_TIMEOUT for worker in seen.workers)
        for stage, seen in sample.stages.items()
    }
    yield gauge("parley_stage_workers", "Live workers.", [({"stage": s}, n) for s, n in alive.items()])
    yield gauge(
        "parley_stage_settled",
        "1 while the partitions are assigned, 0 during a rebalance.",
        [({"stage": stage}, seen.settled) for stage, seen in sample.stages.items()],
    )
    nodes = [
        ({"node": node.id}, node.report)
        for node in sample.web
        if node.report is not None and sample.at - node.beat < SESSION_TIMEOUT
    ]
    yield gauge("parley_web_nodes", "Live web processes.", [({}, len(nodes))])
    sockets = [(labels, report.working) for labels, report in nodes]
    yield gauge("parley_web_sockets", "Open sockets.", sockets)
    taken = [(labels, report.handled) for labels, report in nodes]
    yield counter("parley_web_messages", "Messages that sockets have sent.", taken)


def of_inboxes(inboxes: Inboxes) -> Iterator[Metric]:
    """Yield the metrics of the messages that wait for an earlier one of their session."""
    yield gauge("parley_inbox_sessions", "Sessions with waiting messages.", [({}, inboxes.sessions)])
    yield gauge("parley_inbox_messages", "Messages that wait for their turn.", [({}, inboxes.messages)])
    ages = {"0.5": inboxes.p50_age, "0.99": inboxes.p99_age, "1": inboxes.oldest_age}
    yield gauge(
        "parley_inbox_age_seconds",
        "Time that the first waiting message of a session has waited, by quantile; 0 when none waits.",
        [({"quantile": quantile}, age or 0.0) for quantile, age in ages.items()],
    )


_Of = Callable[[PipelineSample, PartitionSample], float]

_COUNTERS: tuple[tuple[str, str, _Of], ...] = (
    ("parley_stage_added", "Messages that were sent to a partition.", lambda _, seen: seen.added),
    ("parley_stage_done", "Messages that were finished.", lambda _, seen: seen.done),
)
_GAUGES: tuple[tuple[str, str, _Of], ...] = (
    ("parley_stage_lag", "Messages that no worker has read.", lambda _, seen: seen.lag),
    ("parley_stage_pending", "Messages read but not finished.", lambda _, seen: seen.pending),
    ("parley_stage_entries", "Entries in the stream.", lambda _, seen: seen.length),
    ("parley_stage_retrying", "Messages that failed and will be tried again.", lambda _, seen: seen.failing),
    ("parley_stage_dead_letters", "Messages that were given up.", lambda _, seen: seen.dead),
    (
        "parley_stage_oldest_age_seconds",
        "Time at which the oldest unfinished message was sent, 0 when there is no such message.",
        lambda sample, seen: 0.0 if seen.oldest_sent is None else max(0.0, sample.at - seen.oldest_sent),
    ),
)


def _of_partitions(sample: PipelineSample, of: _Of) -> list[tuple[dict[str, str], float]]:
    return [
        ({"stage": stage, "partition": str(number)}, of(sample, partition))
        for stage, seen in sample.stages.items()
        for number, partition in enumerate(seen.partitions)
    ]
