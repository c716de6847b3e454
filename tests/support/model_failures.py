"""The ways in which the model server of the tests fails; see `Failure`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from aiohttp import web

from tests.support.model_protocols import Reply, frame

# Instead of an answer.
Refusal = Literal["status", "drop", "hang", "not_json", "html"]
# In a stream: in how its events are sent, or in what they say.
Break = Literal[
    "die_mid_stream", "cut_event", "close_early", "stall", "pings", "error_event", "not_json_event", "trickle"
]
Oddity = Literal["no_done", "plain", "endless", "finish"]
FailureKind = Literal[Refusal, Break, Oddity]

_REFUSALS = get_args(Refusal)
_BREAKS = get_args(Break)


@dataclass(frozen=True)
class Failure:
    """How one request is to fail.

    Attributes:
        kind: instead of an answer, `status` answers with `status`, `body` (a str is sent as it is, all else
            as JSON) and `headers`; `drop` closes the connection; `hang` never answers; `not_json` and `html`
            answer 200 with a text or a page.

            In a stream, after `after` events: `die_mid_stream` hangs up, `cut_event` does so within an
            event, `close_early` ends the response in order, `stall` says nothing more, `pings` sends only
            comments, `error_event` sends `body` as an event and ends, `not_json_event` sends one without
            JSON.

            `trickle` sends the stream byte by byte, `no_done` leaves out its last event, `plain` answers as
            if no stream had been asked for, `endless` adds tokens for ever, `finish` ends for the reason
            `body`.
    """

    kind: FailureKind
    status: int = 500
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int = 1

    @property
    def refuses(self) -> bool:
        """Whether there is no answer at all."""
        return self.kind in _REFUSALS

    @property
    def breaks(self) -> bool:
        """Whether a stream is sent otherwise than it should be."""
        return self.kind in _BREAKS


async def refuse(request: web.Request, failure: Failure, stopping: asyncio.Event) -> web.StreamResponse:
    """Answer with something that is no answer."""
    match failure.kind:
        case "drop":
            return hang_up(request, web.Response())
        case "hang":
            await stopping.wait()
            return hang_up(request, web.Response())
        case "not_json":
            return web.Response(text="This is not JSON.", content_type="application/json")
        case "html":
            page = "<!doctype html><html><title>Welcome</title><p>It works!</p></html>"
            return web.Response(text=page, content_type="text/html")
    if isinstance(failure.body, str):
        return web.Response(status=failure.status, text=failure.body, headers=failure.headers)
    body = {"error": f"planned failure {failure.status}"} if failure.body is None else failure.body
    return web.json_response(body, status=failure.status, headers=failure.headers)


def events_of(reply: Reply, tokens: list[str], failure: Failure | None) -> Iterator[bytes]:
    """Return the events of an answer, with what `failure` changes in them."""
    if failure is not None and failure.kind == "endless":
        return reply.stream(itertools.chain(tokens, itertools.repeat(" more")))
    if failure is not None and failure.kind == "finish":
        return reply.stream(tokens, str(failure.body))
    events = reply.stream(tokens)
    if failure is not None and failure.kind == "no_done":
        return iter(list(events)[:-1])
    return events


async def fail_stream(
    request: web.Request,
    response: web.StreamResponse,
    events: AsyncIterator[bytes],
    failure: Failure,
    stopping: asyncio.Event,
) -> web.StreamResponse:
    """Send the events up to where `failure` happens, and let it happen."""
    sent = 0
    async for event in events:
        if sent == failure.after and failure.kind != "trickle":
            break
        sent += 1
        if failure.kind != "trickle":
            await response.write(event)
            continue
        for byte in event:
            await response.write(bytes([byte]))
            await asyncio.sleep(0)
    # Time to arrive: a client's HTTP library may forget what it has not handed on when the connection breaks.
    await asyncio.sleep(0.05)
    match failure.kind:
        case "die_mid_stream":
            return hang_up(request, response)
        case "cut_event":
            await response.write(frame({"token": {"text": "never"}})[:20])
            return hang_up(request, response)
        case "stall":
            await stopping.wait()
        case "pings":
            while not stopping.is_set():
                await response.write(b": ping\n\n")
                await asyncio.sleep(0.01)
        case "error_event":
            await response.write(frame(failure.body))
        case "not_json_event":
            await response.write(b"data: <b>no</b>\n\n")
    await response.write_eof()
    return response


def hang_up(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Close the connection at once; what was written may still arrive, nothing more does."""
    if request.transport is not None:
        request.transport.close()
    return response
