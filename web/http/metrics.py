"""Serve ``GET /metrics``: the metrics of this process and of all stages, for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from aiohttp import web
from prometheus_client.metrics_core import Metric
from redis.exceptions import RedisError

from pipeline.chat.waiting import inboxes
from pipeline.settings import STAGES
from pipeline.telemetry import metrics, refusals
from pipeline.telemetry.histogram import Histogram
from pipeline.telemetry.stages.exported import of_inboxes, of_stages
from pipeline.telemetry.stages.sample import Observer
from web import keys
from web.chat.producer import StageProducer
from web.http.origins import Handler

#: Seconds that a scrape waits for Redis; after them it returns only the metrics of the process.
LOOK_SECONDS: Final = 3.0

_Request = tuple[str, str, str]
_REQUESTS: web.AppKey[defaultdict[_Request, Histogram]] = web.AppKey("requests", defaultdict)


def add_routes(app: web.Application) -> None:
    """Add the route of this module."""
    app[_REQUESTS] = defaultdict(Histogram)
    app.router.add_get("/metrics", scrape)


async def scrape(request: web.Request) -> web.Response:
    """Answer ``GET /metrics``."""
    app = request.app
    parts = [
        _of_requests(app),
        metrics.sent(),
        refusals.figures(),
        _of_connections(app),
    ]
    producer = app[keys.PRODUCER]
    if isinstance(producer, StageProducer):
        parts.append(producer.figures())
    up = 0
    with suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            sample = await Observer(app[keys.REDIS], STAGES).sample()
            parts.append(of_stages(sample))
            up = 1
            parts.append(of_inboxes(await inboxes(app[keys.REDIS])))
    about = "1 when Redis answered this scrape; the figures of the stages are missing otherwise."
    parts.append(iter([metrics.gauge("parley_redis_up", about, [({}, up)])]))
    headers = {"Content-Type": metrics.CONTENT_TYPE}
    return web.Response(body=metrics.exposition(*parts), headers=headers)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count a request and its duration; skip sockets, which last as long as the client stays."""
    begun, status = time.perf_counter(), 500
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as exc:
        status = exc.status
        raise
    finally:
        if status != 101:
            resource = request.match_info.route.resource
            route = "" if resource is None else resource.canonical
            key = (request.method if resource else "_OTHER", route, str(status))
            request.app[_REQUESTS][key].add(time.perf_counter() - begun)
    return response


def _of_connections(app: web.Application) -> Iterator[Metric]:
    connections = app[keys.EDGE].connections
    about = "Open connections of this process, sockets included."
    yield metrics.gauge("parley_edge_connections", about, [({}, connections.count)])
    yield metrics.gauge("parley_edge_sockets", "Open sockets of this process.", [({}, connections.sockets)])
    held = connections.unfinished_bytes
    yield metrics.gauge("parley_edge_unfinished_bytes", "Memory of unfinished messages.", [({}, held)])


def _of_requests(app: web.Application) -> Iterator[Metric]:
    names = ("http_request_method", "http_route", "http_response_status_code")
    rows = [(dict(zip(names, key, strict=True)), seen) for key, seen in app[_REQUESTS].items()]
    yield metrics.histogram("http_server_request_duration_seconds", "Requests other than sockets.", rows)
