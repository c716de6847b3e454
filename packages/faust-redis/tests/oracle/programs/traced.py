"""``setup_opentelemetry``: the spans of two agents, and the trace named by a header."""

from __future__ import annotations

from typing import Any

from faust.contrib.opentelemetry import setup_opentelemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.oracle.stage import make_app, note, noted, send_all, step, until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
app = make_app("traced", topic_partitions=1)
first = app.topic("first", key_type=str, value_type=int)
second = app.topic("second", key_type=str, value_type=int)
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
setup_opentelemetry(app, tracer=provider.get_tracer("oracle"))


@app.agent(first)
async def forward(stream: Any) -> None:
    async for key, value in stream.items():
        await second.send(key=key, value=value + 1)


@app.agent(second)
async def receive(stream: Any) -> None:
    async for value in stream:
        note("received", value)


def described(span: Any) -> Any:
    return [span.kind.name, span.status.status_code.name]


@step(app)
async def result() -> Any:
    await send_all(first, 1, key="k", headers={"traceparent": f"00-{TRACE}-{SPAN}-01".encode()})
    await noted("received", 1)
    names = {"first process", "second process"}
    await until(lambda: names <= {span.name for span in exporter.get_finished_spans()}, "the spans")
    spans: dict[str, Any] = {span.name: span for span in exporter.get_finished_spans()}
    return {
        **{name: described(spans[name]) for name in sorted(names)},
        "names": sorted(spans),
        "trace of the first": f"{spans['first process'].context.trace_id:032x}" == TRACE,
        "parent of the first": f"{spans['first process'].parent.span_id:016x}" == SPAN,
        "one trace": spans["second process"].context.trace_id == spans["first process"].context.trace_id,
    }
