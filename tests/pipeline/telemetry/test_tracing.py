"""One trace per message, and none when nobody asked for any."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from faust_redis import REDELIVERY_HEADER
from pipeline.chat.records import Inbound, Turn
from pipeline.telemetry import tracing
from pipeline.telemetry.logs import add_message
from pipeline.telemetry.stages.work import WorkSensor
from pipeline.worker.stage import Stage, run_with_retries
from pipeline.worker.topics import send

# All of a stage that an attempt needs, unless its message was replayed.
STAGE = cast(Stage, SimpleNamespace(work=WorkSensor("enrich")))
SECRET = "what I wrote"


@dataclass
class Topic:
    """Remembers the headers of what was sent to it."""

    headers: list[dict[str, bytes] | None] = field(default_factory=list)

    async def send(self, *, key: Any = None, value: Any = None, headers: Any = None) -> None:
        self.headers.append(headers)


class App:
    """An app as far as its options and its consumer are asked for."""

    consumer = SimpleNamespace(fail=lambda *_: None, reject=lambda *_: None)


def event(message: Turn, headers: dict[str, bytes] | None, *, offset: int = 7, attempts: int = 0) -> Any:
    carried = dict(headers or {})
    if attempts:
        carried[REDELIVERY_HEADER] = b"%d" % attempts
    return SimpleNamespace(
        value=message,
        headers=carried,
        message=SimpleNamespace(topic="enrich", partition=3, offset=offset),
        app=App(),
    )


async def nothing(*_: Any) -> None:
    """Handle a message by doing nothing."""


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_a_message_s_trace_goes_on_from_the_web_through_the_stages(spans: InMemorySpanExporter) -> None:
    enrich, infer = Topic(), Topic()
    message_id = str(uuid.uuid4())
    with tracing.received(message_id, "ingest") as root:
        await send(enrich, Inbound(token="t", id=message_id, text=SECRET, sent_at=0.0))
    root.end()

    async def handle(turn: Turn, _entry: str) -> None:
        await send(infer, turn)

    await run_with_retries(STAGE, event(Turn(token="t", turn=message_id), enrich.headers[0]), handle, nothing)
    (first,) = named(spans, "send ingest")
    (second,) = named(spans, "process enrich")
    assert first.context.trace_id == second.context.trace_id == tracing.trace_id_of(message_id)
    assert second.parent is not None
    assert second.parent.span_id == first.context.span_id
    assert (first.kind, second.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert infer.headers[0] is not None
    assert infer.headers[0]["traceparent"].split(b"-")[2] == b"%016x" % second.context.span_id
    assert SECRET not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_a_message_that_another_turn_sends_on_stays_in_its_own_trace(
    spans: InMemorySpanExporter,
) -> None:
    """It waited in the inbox; deliver opens its turn when the one before it is closed."""
    topic = Topic()
    waiting = str(uuid.uuid4())
    with tracing.received(waiting, "ingest") as root:
        root.end()

    async def handle(_turn: Turn, _entry: str) -> None:
        await send(topic, Turn(token="t", turn=waiting))

    await run_with_retries(STAGE, event(Turn(token="t", turn="another"), None), handle, nothing)
    await run_with_retries(
        STAGE, event(Turn(token="t", turn=waiting), topic.headers[0], offset=8), nothing, nothing
    )
    (first,) = named(spans, "send ingest")
    second = named(spans, "process enrich")[-1]
    assert second.context.trace_id == first.context.trace_id
    assert second.parent is not None
    assert second.parent.span_id == first.context.span_id


async def test_the_attempts_at_a_message_are_linked_and_tell_of_an_error_only_its_kind(
    spans: InMemorySpanExporter,
) -> None:
    async def handle(_turn: Turn, _entry: str) -> None:
        raise ValueError(SECRET)

    failed = STAGE.work.failed
    for attempts in range(3):
        await run_with_retries(
            STAGE, event(Turn(token="t", turn="m"), None, attempts=attempts), handle, nothing
        )
    assert STAGE.work.failed - failed == 3
    tries = named(spans, "process enrich")
    assert [span.attributes["parley.attempt"] for span in tries if span.attributes] == [1, 2, 3]
    assert [[link.context.span_id for link in span.links] for span in tries] == [
        [],
        [tries[0].context.span_id],
        [tries[1].context.span_id],
    ]
    assert {span.status.status_code for span in tries} == {StatusCode.ERROR}
    assert {span.attributes["error.type"] for span in tries if span.attributes} == {"ValueError"}
    assert SECRET not in "".join(span.to_json() for span in tries)


@pytest.mark.parametrize("header", [b"", b"nonsense", b"00-zz-zz-01", b"00-0-0-01", b"\xff-1-1-1-1"])
async def test_a_header_that_cannot_be_read_leaves_the_message_its_trace(
    spans: InMemorySpanExporter, header: bytes
) -> None:
    await run_with_retries(STAGE, event(Turn(token="t", turn="m"), {"traceparent": header}), nothing, nothing)
    (span,) = named(spans, "process enrich")
    assert span.context.trace_id == tracing.trace_id_of("m")


async def test_without_tracing_nothing_is_sent_along(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert tracing.setup("web") is False
    topic = Topic()
    await send(topic, Turn(token="t", turn="m"))
    assert topic.headers == [None]


@pytest.mark.parametrize(
    ("variables", "exporters"),
    [
        ({}, []),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ["console", "otlp"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ["otlp"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, []),
    ],
)
def test_opentelemetry_s_own_variables_decide(variables: dict[str, str], exporters: list[str]) -> None:
    assert tracing._wanted_exporters(variables) == exporters


def test_an_exporter_that_is_not_installed_leaves_tracing_off_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    with caplog.at_level(logging.ERROR):
        assert tracing.setup("web") is False
    assert "carrier-pigeon" in caplog.text


async def test_a_line_of_the_log_names_the_message_and_its_trace(spans: InMemorySpanExporter) -> None:
    lines: list[Any] = []

    async def handle(_turn: Turn, _entry: str) -> None:
        lines.append(add_message(None, "info", {"event": "at work"}))

    async def one(turn: str) -> None:
        await run_with_retries(STAGE, event(Turn(token="t", turn=turn), None), handle, nothing)

    await asyncio.gather(one("m-1"), one("m-2"))
    assert [line["message_id"] for line in lines] == ["m-1", "m-2"]
    assert [line["trace_id"] for line in lines] == [f"{tracing.trace_id_of(m):032x}" for m in ("m-1", "m-2")]
    assert json.dumps(lines)
    assert add_message(None, "info", {"event": "idle"}) == {"event": "idle"}
