"""Faust's monitor, and one of one's own: counts of events, tables, sends and commits of a program."""

from __future__ import annotations

from typing import Any

from faust.sensors import Monitor

from tests.oracle.stage import make_app, note, noted, send_all, step, until


class Metrics(Monitor):
    """Counts beside Faust's own figures."""

    def on_commit_completed(self, consumer: Any, state: Any) -> None:
        note("commits", True)
        super().on_commit_completed(consumer, state)

    def on_rebalance_start(self, app: Any) -> Any:
        note("rebalances", "start")
        return super().on_rebalance_start(app)

    def on_rebalance_end(self, app: Any, state: Any) -> None:
        note("rebalances", "end")
        super().on_rebalance_end(app, state)

    def count(self, metric: str, count: int = 1) -> None:
        note("counted", [metric, count])
        super().count(metric, count)

    def on_assignment_completed(self, assignor: Any, state: Any) -> None:
        note("assignments", True)
        super().on_assignment_completed(assignor, state)


app = make_app("monitors", topic_partitions=1, Monitor=Metrics)
source = app.topic("source", key_type=str, value_type=int)
counts = app.Table("counts", default=int)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for key, value in stream.items():
        counts[key] += value
        app.monitor.count("mine", value)
        note("seen", value)


@step(app)
async def result() -> Any:
    await send_all(source, 1, 2, 3, key="k")
    await noted("seen", 3)
    monitor = app.monitor
    await until(lambda: monitor.events_by_task and monitor.messages_active == 0, "the end of the events")
    table = monitor.tables["counts"]
    return {
        "type": type(monitor).__name__,
        "events": [monitor.events_total, monitor.messages_received_by_topic["source"], monitor.events_active],
        "by stream": sorted(monitor.events_by_stream.values()),
        "table": [table.keys_retrieved, table.keys_updated, table.keys_deleted],
        "sent": [monitor.messages_sent_by_topic["source"], monitor.send_errors],
        "counted": await noted("counted", 3),
        "metric": dict(monitor.metric_counts),
        "rebalances": (await noted("rebalances", 2))[:2],
        "assignments": len(await noted("assignments", 1)) > 0,
        "commits": bool(await noted("commits", 1)),
        "runtimes": [len(monitor.events_runtime), len(monitor.assignment_latency) > 0],
    }
