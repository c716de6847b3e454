"""The figures of Faust's monitor after a known load: messages, events, sends, tables, offsets and lag."""

from __future__ import annotations

from typing import Any

from faust.types import TP

from tests.oracle.stage import make_app, note, noted, send_all, step, until

app = make_app("monitor", topic_partitions=1)
source = app.topic("source", key_type=str, value_type=int)
counts = app.Table("counts", default=int)


@app.agent(source)
async def count(stream: Any) -> None:
    async for key, value in stream.items():
        counts[key] += value
        note("seen", counts[key])


@step(app)
async def result() -> Any:
    monitor = app.monitor
    offsets = await send_all(source, 1, 2, 3, 4, 5, key="k")
    await noted("seen", 5)
    last = offsets[-1].offset
    tp = TP("source", 0)
    await until(lambda: monitor.tp_committed_offsets.get(tp, 0) > last, "the commit of all")
    await until(lambda: monitor.tp_end_offsets.get(tp, 0) > last, "the end of the partition")
    await until(lambda: monitor.events_active == 0, "all events to end")
    committed = monitor.tp_committed_offsets[tp] - last
    return {
        "messages received": monitor.messages_received_total,
        "by topic": dict(monitor.messages_received_by_topic),
        "messages active": monitor.messages_active,
        "events": monitor.events_total,
        "by stream": list(monitor.events_by_stream.values()),
        "by task": list(monitor.events_by_task.values()),
        "sent by topic": {"source": monitor.messages_sent_by_topic["source"]},
        "table": monitor.tables["counts"].asdict(),
        "read, from the last": monitor.tp_read_offsets[tp] - last,
        "end, from the last": monitor.tp_end_offsets[tp] - last,
        "committed, from the last": committed,
        "has events of runtime": len(monitor.events_runtime) > 0,
        "send errors": monitor.send_errors,
    }
