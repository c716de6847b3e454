"""Trace each message from socket to socket through all stages, if OTEL_* variables turn it on.

    web: send ingest ──▶ process ingest ──▶ process enrich ──▶ process infer ──▶ process deliver
            └ web: receive web                                     └ chat <model>

The id of a trace is computed from the id of its message. A message that waited in its session's inbox, and
was sent on by the turn before it, therefore stays in its own trace, and the id of a message leads to its
trace. The header ``traceparent`` (W3C) carries the context from stage to stage.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from pipeline.masking import mask_known

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

HEADER: Final = "traceparent"

# Failed attempts to which the next attempt is linked; a worker holds only its own.
_REMEMBERED_ATTEMPTS: Final = 1000

#: The id of the current message, for the log.
MESSAGE: Final[ContextVar[str | None]] = ContextVar("message", default=None)

_ROOT: ContextVar[tuple[int, int] | None] = ContextVar("root", default=None)


class _Tracing:
    """The tracing of this process; ``tracer`` is None while it is off."""

    def __init__(self) -> None:
        self.tracer: trace.Tracer | None = None
        self.provider: TracerProvider | None = None
        self.attempts: OrderedDict[str, SpanContext] = OrderedDict()


_tracing = _Tracing()


def setup(process: str) -> bool:
    """Turn tracing on if the environment asks for it; return whether it is on.

    ``OTEL_TRACES_EXPORTER`` names the exporter (``otlp``, ``console``, or any that is installed), which reads
    its own variables; ``OTEL_EXPORTER_OTLP_ENDPOINT`` alone means ``otlp``.

    Args:
        process: ``web`` or a stage; the service name is ``parley-<process>`` unless OTEL_SERVICE_NAME is set.
    """
    names = _wanted_exporters(os.environ)
    if not names or _tracing.tracer is not None:
        return _tracing.tracer is not None
    try:
        provider = _provider(process, names)
    except (ImportError, LookupError) as exc:
        logger.error("tracing is off (%s); run: pip install 'parley[tracing]'", exc)
        return False
    use(provider)
    logger.info("traces go to %s", ", ".join(names))
    return True


def use(provider: TracerProvider | None) -> None:
    """Trace with a provider of the SDK; None disables tracing."""
    _tracing.provider = provider
    _tracing.tracer = None if provider is None else provider.get_tracer("parley")
    _tracing.attempts.clear()


def flush() -> None:
    """Export the remaining spans; blocks for a few seconds at most."""
    if _tracing.provider is not None:
        _tracing.provider.force_flush(3000)


def enabled() -> bool:
    """Return whether messages are traced."""
    return _tracing.tracer is not None


def trace_id_of(message_id: str) -> int:
    """Return the id of a message's trace."""
    return _ids(message_id)[0]


def headers(message_id: str) -> dict[str, bytes]:
    """Return the headers that continue a message's trace, below the current span if that belongs to it."""
    current = trace.get_current_span().get_span_context()
    if current.trace_id != trace_id_of(message_id):
        current = _root_context(message_id)
    flags = int(current.trace_flags)
    return {HEADER: f"00-{current.trace_id:032x}-{current.span_id:016x}-{flags:02x}".encode()}


@contextmanager
def received(message_id: str, topic: str) -> Iterator[Span]:
    """Begin the trace of a message from a socket; the caller ends the span."""
    tracer = cast(trace.Tracer, _tracing.tracer)
    root = _ROOT.set(_ids(message_id))
    try:
        span = tracer.start_span(
            f"send {topic}",
            Context(),
            SpanKind.PRODUCER,
            {**_destination("send", topic), "messaging.message.id": mask_known(message_id)},
        )
    finally:
        _ROOT.reset(root)
    with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
        yield span


@contextmanager
def processing(message_id: str, event: Any, attempt: int) -> Iterator[Span]:
    """Trace one attempt of a stage at a message, linked to the attempt before it."""
    message = event.message
    entry = f"{message.topic}:{message.partition}:{message.offset}"
    before = _tracing.attempts.pop(entry, None)
    span = cast(trace.Tracer, _tracing.tracer).start_span(
        f"process {message.topic}",
        trace.set_span_in_context(NonRecordingSpan(_parent(message_id, event.headers))),
        SpanKind.CONSUMER,
        {
            **_destination("process", message.topic),
            "messaging.consumer.group.name": message.topic,
            "messaging.destination.partition.id": str(message.partition),
            "messaging.message.id": mask_known(message_id),
            "parley.offset": message.offset,
            "parley.attempt": attempt,
        },
        links=[] if before is None else [Link(before)],
    )
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield span


def answered(message_id: str, sockets: int) -> None:
    """Record that the frame that ends a message has reached a web process, for this many sockets."""
    span = cast(trace.Tracer, _tracing.tracer).start_span(
        "receive web",
        trace.set_span_in_context(NonRecordingSpan(_root_context(message_id))),
        SpanKind.CONSUMER,
        {
            **_destination("receive", "web"),
            "messaging.message.id": mask_known(message_id),
            "parley.sockets": sockets,
        },
    )
    span.end()


def calling(name: str, attributes: Mapping[str, str]) -> Span | None:
    """Begin a span for a call within the current span; the caller ends it. None while tracing is off."""
    if _tracing.tracer is None:
        return None
    return _tracing.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)


def failed(span: Span, entry: str, error: BaseException) -> None:
    """Record a failed attempt with the type of its error, without its text, which may quote a message."""
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR))
    _tracing.attempts[entry] = span.get_span_context()
    if len(_tracing.attempts) > _REMEMBERED_ATTEMPTS:
        _tracing.attempts.popitem(last=False)


def log_fields() -> dict[str, str]:
    """Return the log fields of the current message and its trace."""
    fields = {}
    message_id = MESSAGE.get()
    if message_id is not None:
        fields["message_id"] = message_id
    if _tracing.tracer is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            fields |= {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    return fields


def _wanted_exporters(environment: Mapping[str, str]) -> list[str]:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    named = environment.get("OTEL_TRACES_EXPORTER", "")
    if not named.strip():
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        named = "otlp" if any(environment.get(name) for name in endpoints) else "none"
    names = [name.strip() for name in named.split(",")]
    return [name for name in names if name and name != "none"]


def _provider(process: str, names: list[str]) -> TracerProvider:
    sdk = import_module("opentelemetry.sdk.trace")
    export = import_module("opentelemetry.sdk.trace.export")
    resources = import_module("opentelemetry.sdk.resources")
    resource = resources.Resource.create({"service.name": f"parley-{process}", "service.namespace": "parley"})
    if name := os.environ.get("OTEL_SERVICE_NAME"):
        resource = resource.merge(resources.Resource({"service.name": name}))
    provider: TracerProvider = sdk.TracerProvider(resource=resource, id_generator=id_generator())
    for name in names:
        provider.add_span_processor(export.BatchSpanProcessor(_exporter(name)))
    return provider


def _exporter(name: str) -> Any:
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
    if not found:
        raise LookupError(f"no exporter {name!r} is installed")
    return found[0].load()()


def id_generator() -> Any:
    """Return an id generator of the SDK that computes the ids of a message's first span."""
    generator = import_module("opentelemetry.sdk.trace.id_generator")

    class MessageIds(generator.RandomIdGenerator):  # type: ignore[misc, name-defined]
        def generate_trace_id(self) -> int:
            root = _ROOT.get()
            return int(super().generate_trace_id()) if root is None else root[0]

        def generate_span_id(self) -> int:
            root = _ROOT.get()
            return int(super().generate_span_id()) if root is None else root[1]

    return MessageIds()


def _ids(message_id: str) -> tuple[int, int]:
    """Return the ids of a message's trace and of its first span."""
    digest = hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=24).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:]) or 1


def _root_context(message_id: str) -> SpanContext:
    """Return the context of a message's first span, in whichever process that began."""
    trace_id, span_id = _ids(message_id)
    sampler = cast("TracerProvider", _tracing.provider).sampler
    decision = sampler.should_sample(None, trace_id, "send ingest").decision
    sampled = decision is not decision.DROP
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(int(sampled)))


def _parent(message_id: str, carried: Mapping[str, Any]) -> SpanContext:
    """Return the context of a message's own trace from its headers, else the context of its first span."""
    header = carried.get(HEADER)
    text = header.decode("latin-1") if isinstance(header, bytes) else str(header or "")
    parts = text.split("-")
    try:
        trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    except ValueError:
        return _root_context(message_id)
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    if not context.is_valid or trace_id != trace_id_of(message_id):
        return _root_context(message_id)
    return context


def _destination(operation: str, topic: str) -> dict[str, str]:
    return {
        "messaging.system": "redis",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }
