"""Connections without a valid request are limited in number and time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from faust_redis.testing import eventually
from pipeline.edge import limits as edge_limits
from pipeline.edge.connections import State
from pipeline.telemetry.refusals import REFUSED
from tests.web.conftest import Node, ServeNode
from tests.web.wire import CONTINUATION, TEXT, wire_frame
from web import keys

UPGRADE = (
    "GET /chat?token={} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Peer:
    """A connection of which every byte is the test's own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes | str) -> None:
        """Send bytes as they are."""
        self.writer.write(data.encode() if isinstance(data, str) else data)

    async def rest(self, seconds: float = 10) -> bytes:
        """Return all that comes until the server closes."""
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""


@contextlib.asynccontextmanager
async def peers(node: Node, count: int = 1) -> AsyncIterator[list[Peer]]:
    """Open raw connections to a web process."""
    port = int(node.client.url.rpartition(":")[2])
    opened = [Peer(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(count)]
    try:
        yield opened
    finally:
        for peer in opened:
            peer.writer.close()


async def upgraded(node: Node, peer: Peer) -> None:
    """Make a raw connection a socket."""
    peer.send(UPGRADE.format(await node.client.token()))
    head = await peer.reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head.splitlines()[0], head


def refusals() -> dict[str, int]:
    """Return what was refused so far, by reason."""
    return dict(REFUSED)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begun", ["", "G", "GET /test HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
async def test_a_connection_that_sends_no_whole_request_is_closed(node: Node, begun: str) -> None:
    async with peers(node) as (peer,):
        peer.send(begun)
        assert await peer.rest() == b""
    assert refusals()["silent"] == 1


@pytest.mark.usefixtures("impatient")
async def test_bytes_that_trickle_in_gain_no_time(node: Node) -> None:
    async with peers(node) as (peer,):

        async def trickle() -> None:
            for byte in "GET /test HTTP/1.1\r\nX-Slow: " + "x" * 1000:
                peer.send(byte)
                await asyncio.sleep(0.02)

        trickling = asyncio.create_task(trickle())
        assert await peer.rest() == b""
        trickling.cancel()


@pytest.mark.usefixtures("impatient")
async def test_the_second_request_of_a_connection_is_waited_for_no_longer(node: Node) -> None:
    async with peers(node) as (peer,):
        peer.send("GET /test HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await peer.reader.readuntil(b'{"msg":"API is Online"}')
        peer.send("GET /test HTT")
        assert await peer.rest() == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.slow
async def test_half_a_body_is_answered_with_408(node: Node) -> None:
    async with peers(node) as (peer,):
        peer.send("POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n")
        peer.send("Content-Type: application/x-www-form-urlencoded\r\n\r\nname=")
        answer = await peer.rest()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert refusals()["silent_body"] == 1


@pytest.mark.slow
async def test_a_crowd_of_silent_connections_makes_way_for_a_client(serve: ServeNode) -> None:
    node = await serve(connections_per_address=50)
    async with peers(node, 300):
        connections = node.app[keys.EDGE].connections
        await eventually(lambda: refusals().get("address_crowded", 0) > 100, "the oldest are closed")
        assert (await node.client.session(await node.client.token()))["name"] == "Ada"
        await eventually(lambda: connections.count <= 51, "all but the newest are closed")
    assert refusals()["address_crowded"] >= 249
    await eventually(lambda: connections.count <= 1, "the places are free again")


async def test_a_full_process_closes_the_oldest_silent_connection_first(serve: ServeNode) -> None:
    node = await serve(staffed=True)
    connections = node.app[keys.EDGE].connections
    connections.room = 20
    async with peers(node, 60):
        for _ in range(3):
            async with node.http.get("/readyz") as response:
                assert response.status == 200
        assert connections.count <= 25
    assert refusals()["process_crowded"] >= 40


async def test_sockets_leave_places_for_requests(serve: ServeNode) -> None:
    node = await serve(staffed=True)
    node.app[keys.EDGE].connections.socket_room = 2
    token = await node.client.token()
    opened = [await node.client.open(token) for _ in range(2)]
    async with node.http.get(f"/chat?token={token}", headers=upgrade_headers()) as response:
        assert response.status == 503
    async with node.http.get("/readyz") as response:
        assert response.status == 200
    await opened[0].close()
    await eventually(lambda: node.app[keys.EDGE].connections.sockets == 1, "a place is free")
    await node.client.open(token)


async def test_one_address_cannot_take_the_places_of_all_others(serve: ServeNode) -> None:
    node = await serve(trusted_proxies="127.0.0.1")
    node.app[keys.EDGE].connections.socket_room = 16
    token = await node.client.token()

    async def opens(address: str) -> bool:
        try:
            await node.client.open(token, headers={"X-Forwarded-For": address})
        except aiohttp.WSServerHandshakeError:
            return False
        return True

    assert [await opens("192.0.2.1") for _ in range(12)] == [True] * 8 + [False] * 4
    assert [await opens("192.0.2.2") for _ in range(4)] == [True] * 4
    assert [await opens("2001:db8::1") for _ in range(4)] == [True] * 4
    assert refusals()["sockets_full"] == 4


def upgrade_headers() -> dict[str, str]:
    """Return the headers of a handshake."""
    lines = UPGRADE.splitlines()[2:-1]
    return dict(line.split(": ", 1) for line in lines)


async def close_code(peer: Peer) -> int:
    """Return the code of the close frame that ends what a raw socket sends, after pings and answers."""
    received = await peer.rest()
    start = received.rindex(b"\x88")
    return int.from_bytes(received[start + 2 : start + 4], "big")


@pytest.mark.slow
async def test_an_unmasked_frame_closes_the_socket(node: Node) -> None:
    async with peers(node) as (peer,):
        await upgraded(node, peer)
        peer.send(wire_frame(TEXT, 5, masked=False))
        assert await close_code(peer) == 1002
    assert node.intake.messages == []
    assert refusals()["unmasked_frame"] == 1


@pytest.mark.slow
async def test_a_frame_sent_along_with_the_handshake_is_checked_too(node: Node) -> None:
    async with peers(node) as (peer,):
        peer.send(UPGRADE.format(await node.client.token()).encode() + wire_frame(TEXT, 5, masked=False))
        assert await close_code(peer) == 1002
    assert node.intake.messages == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "begun",
    [wire_frame(TEXT, 900)[:-1], wire_frame(TEXT, 3, final=False), wire_frame(TEXT, 3)[:1]],
    ids=["frame", "fragment", "header"],
)
@pytest.mark.slow
async def test_a_message_that_does_not_end_closes_the_socket(node: Node, begun: bytes) -> None:
    async with peers(node) as (peer,):
        await upgraded(node, peer)
        peer.send(begun)
        assert await close_code(peer) == 1008
    assert refusals()["unfinished_message"] == 1


async def test_unfinished_messages_of_all_sockets_stay_within_their_budget(node: Node) -> None:
    edge = node.app[keys.EDGE]
    size = edge.read_limit // 2
    budget = edge.connections._budget = 10 * size
    async with peers(node, 30) as crowd:
        for peer in crowd:
            await upgraded(node, peer)
            peer.send(wire_frame(TEXT, size - 10, final=False) + wire_frame(CONTINUATION, size - 10)[:-5])
        await eventually(lambda: refusals().get("unfinished_memory", 0) >= 24, "the oldest were closed")
        assert edge.connections.unfinished_bytes <= budget
        socket = await node.client.open(await node.client.token())
        await socket.send("Hello")
        await eventually(lambda: node.intake.texts == ["Hello"], "others are served")
    await eventually(lambda: edge.connections.unfinished_bytes == 0, "nothing is held any more")


async def test_what_is_no_http_gets_our_headers_one_line_and_no_traceback(
    node: Node, capfd: pytest.CaptureFixture[str]
) -> None:
    for bad in (
        "GET /a b c HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nBad\x00: 1\r\n\r\n",
    ):
        async with peers(node) as (peer,):
            peer.send(bad)
            answer = await peer.rest()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 400 " in head.splitlines()[0]
        assert b"Server: parley" in head
        assert b"X-Content-Type-Options: nosniff" in head
        assert b"aiohttp" not in answer.lower()
        assert json.loads(body) == {"detail": "The request could not be read"}
    assert refusals()["bad_request"] == 3
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "header", ["Authorization: Bearer \xff", "Expect: \xff", "Expect: nonsense", "X: \xff"]
)
async def test_odd_headers_are_refused_with_400(node: Node, header: str) -> None:
    async with peers(node) as (peer,):
        peer.send(f"GET /api/stages/access HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode("latin-1"))
        answer = await peer.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Server: parley" in answer


@pytest.mark.parametrize(
    "path",
    [
        "infer/0/latest?before=0",
        "infer/0/latest?before=99999999999999999999",
        "infer/0/latest?before=%D9%A3",
        "infer/0/pending?after=x",
        "infer/dead?before=infer:0:99999999999999999999999-1",
        "infer/dead?before=infer:0:1-%D9%A3",
    ],
)
async def test_odd_cursors_are_refused_with_400(node: Node, path: str) -> None:
    async with node.http.get(f"/api/stages/{path}") as response:
        assert response.status == 400, await response.text()


async def test_a_peer_that_does_not_read_its_answer_is_closed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_limits, "RESPONSE_SECONDS", 0.5)
    token = await node.client.token()
    await node.finish(token, "Hi", "x" * 1_000_000)
    async with peers(node) as (peer,):
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(30):
            peer.send(f"GET /refresh_token?token={token} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await eventually(lambda: refusals().get("slow_reader") == 1, "it was closed", 20)


async def test_a_connection_that_talks_is_never_in_the_way(node: Node) -> None:
    connections: Any = node.app[keys.EDGE].connections
    async with peers(node) as (peer,):
        for _ in range(3):
            peer.send("GET /test HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await peer.reader.readuntil(b'{"msg":"API is Online"}')
        await eventually(lambda: State.IDLE in [each.state for each in connections._idle], "it is idle")
    await eventually(lambda: not connections._idle, "it is gone")
