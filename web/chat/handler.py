"""Serve ``GET /chat``: one WebSocket, from the handshake to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog
from aiohttp import WSMsgType, hdrs, web
from redis.exceptions import RedisError

from faust_redis.redis import cancel_and_wait
from pipeline.chat.records import BAD_MESSAGE
from pipeline.errors import describe_error
from web import keys, limits
from web.chat.intake import Intake
from web.chat.outbox import Outbox
from web.chat.parley_v1 import PROTOCOLS, negotiated
from web.chat.protocol import ChatProtocol, ClientMessage, Ping, Refusal, Stop, refusal_as_frame
from web.chat.stopping import stop
from web.http.errors import failure, too_many
from web.http.origins import is_allowed, note_refusal
from web.http.session_token import token_of
from web.http.sessions import GONE
from web.limits.client_address import client_address

log = structlog.get_logger(__name__)


def add_routes(app: web.Application) -> None:
    """Add the routes of this module."""
    app.router.add_get("/chat", chat, allow_head=False)


async def chat(request: web.Request) -> web.StreamResponse:
    """Serve the socket until it is closed, or refuse the handshake with a ``detail`` in JSON."""
    token = token_of(request)
    refused = await _refusal(request, token)
    if refused is not None or token is None:
        return refused or failure(403, GONE)
    socket = web.WebSocketResponse(
        heartbeat=limits.HEARTBEAT_SECONDS,
        timeout=limits.CLOSE_SECONDS,
        # One more than the connection's limit, so that the connection refuses a larger message.
        max_msg_size=request.app[keys.EDGE].read_limit + 1,
        # No autoping, because the outbox reads pongs; no compression, because a few bytes could expand to
        # megabytes of memory.
        autoping=False,
        compress=False,
        protocols=tuple(PROTOCOLS),
    )
    if not socket.can_prepare(request):
        return failure(426, "This address requires a WebSocket")
    address = client_address(request)
    with (
        request.app[keys.EDGE].socket_place(address) as has_place,
        request.app[keys.GATE].socket(token, address) as let_in,
    ):
        if not has_place:
            return failure(503, "This process is full; try again")
        if not let_in:
            return too_many("Too many open sockets; close one first")
        await socket.prepare(request)
        await _serve(request, socket, token, address)
    return socket


async def _refusal(request: web.Request, token: str | None) -> web.Response | None:
    if not is_allowed(request.headers.getall(hdrs.ORIGIN, []), request.host, request.app[keys.ORIGINS]):
        note_refusal(request)
        return failure(403, "Origin not allowed")
    denial = await request.app[keys.GATE].connection(client_address(request))
    if denial is not None:
        return too_many(denial.detail, denial.retry_after)
    try:
        async with asyncio.timeout(limits.REQUEST_SECONDS):
            known = token is not None and await request.app[keys.SESSIONS].exists(token)
    except (RedisError, OSError) as exc:
        log.warning("socket refused: redis is unavailable", error=describe_error(exc))
        return failure(503, "The store of the sessions does not answer; try again")
    return None if known else failure(403, GONE)


async def _serve(request: web.Request, socket: web.WebSocketResponse, token: str, address: str) -> None:
    app = request.app
    included = ",".join(request.query.getall("include", ())).split(",")
    hub, protocol = app[keys.HUB], negotiated(socket.ws_protocol, thoughts="thoughts" in included)
    after = request.query.get("after") if protocol.streaming else None
    tasks: set[asyncio.Task[None]] = set()

    def start(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def stop_late(turn: str) -> None:
        start(stop(app, outbox, turn))

    def tell_lost(lost: Refusal) -> None:
        hub.repair.sent.drop(token, lost.id or "")
        outbox.tell(refusal_as_frame(lost))

    outbox = Outbox(token, socket, request.transport, protocol, hub.outbox_arrived, stop_late, after)
    app[keys.OPEN].add(outbox)
    # Reading starts at once, also without Redis, because an unread socket can neither ping nor close.
    start(outbox.run())
    start(_join(app, outbox))
    try:
        intake = Intake(token, app[keys.PRODUCER], tell_lost)
        await _receive(app, socket, protocol, outbox, intake, address)
    finally:
        hub.leave(outbox)
        app[keys.OPEN].discard(outbox)
        await cancel_and_wait(list(tasks))


async def _join(app: web.Application, outbox: Outbox) -> None:
    try:
        await app[keys.HUB].join(outbox)
    except Exception:
        # The outbox is open nevertheless; the hub fetches the missing frames at its next refresh.
        log.exception(
            "joining failed; the socket gets earlier answers at the next refresh", token=outbox.token
        )


class _Repeats:
    """The messages of a new socket that may be repeats of messages on their way from an earlier one."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._clock = asyncio.get_running_loop().time
        self._until = self._clock() + limits.REPEAT_SECONDS

    def take(self) -> bool:
        """Count a message; return whether it may be a repeat."""
        self._left -= 1
        return self._left >= 0 and self._clock() < self._until


async def _receive(
    app: web.Application,
    socket: web.WebSocketResponse,
    protocol: ChatProtocol,
    outbox: Outbox,
    intake: Intake,
    address: str,
) -> None:
    """Read the socket until it is closed."""
    max_bytes = app[keys.SETTINGS].message_max_bytes
    # A client that returns sends its open messages first, at most as many as a session holds.
    repeats = _Repeats(app[keys.SETTINGS].inbox_limit + 1 if outbox.after is not None else 0)
    while True:
        received = await socket.receive()
        result: ClientMessage | Stop | Ping | Refusal
        if received.type is WSMsgType.TEXT:
            result = protocol.read_text(received.data, max_bytes)
        elif received.type is WSMsgType.BINARY:
            result = protocol.read_binary()
        elif received.type is WSMsgType.PING:
            with suppress(ConnectionError):
                await socket.pong(received.data)
            continue
        elif received.type is WSMsgType.PONG:
            outbox.pong(bytes(received.data))
            continue
        else:  # closed by the peer, by this process or after a frame that violates the protocol
            return
        match result:
            case ClientMessage(id=outbox.token):
                # The id would reveal the token in the log and in the history.
                await outbox.room()
                outbox.tell(refusal_as_frame(Refusal(BAD_MESSAGE, "The token can't be the id of a message.")))
            case ClientMessage():
                await _take_message(app, outbox, intake, result, address, may_be_repeat=repeats.take())
            case Stop(turn):
                await stop(app, outbox, turn)
            case Ping():
                await outbox.room()
                outbox.answer_ping()
            case Refusal():
                await outbox.room()
                outbox.tell(refusal_as_frame(result))


async def _take_message(
    app: web.Application,
    outbox: Outbox,
    intake: Intake,
    message: ClientMessage,
    address: str,
    *,
    may_be_repeat: bool,
) -> None:
    """Send a message to the stages, or refuse it because of a limit."""
    gate, sent = app[keys.GATE], app[keys.HUB].repair.sent
    may_be_repeat = may_be_repeat or sent.remembers(outbox.token, message.id)
    denial = await gate.message(outbox.token, address, may_be_repeat=may_be_repeat)
    if denial is None:
        gate.in_flight.sent(outbox.token, message.id, address)
        outbox.expect(message)
        await intake.put(sent.add(outbox.token, message, outbox.client_has))
        return
    await gate.pause(address, denial.code)
    # A surplus repeat is dropped, because an error would end its message a second time.
    if outbox.expects(message.id):
        return
    if sent.awaits(outbox.token, message.id):  # sent by another socket of its session
        outbox.expect(message)
    else:
        await outbox.room()
        outbox.tell(refusal_as_frame(Refusal(denial.code, denial.detail, message.id, denial.retry_after)))
