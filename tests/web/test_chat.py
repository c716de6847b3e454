"""Sockets of the plain protocol, from the handshake to their end."""

from __future__ import annotations

import asyncio
import json
import uuid

import aiohttp
import pytest

from faust_redis.testing import eventually
from pipeline.chat.records import SESSION_EXPIRED, answer_id, error_frame
from tests.web.conftest import Node, ServeNode, frame, plain
from web import limits


@pytest.mark.parametrize("token", [None, "", "x", str(uuid.UUID(int=4)), "a}b"])
async def test_a_socket_without_a_living_session_is_refused_before_the_upgrade(
    node: Node, token: str | None
) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    params = {} if token is None else {"token": token}
    async with node.http.get("/chat", params=params, headers=headers) as response:
        assert response.status == 403
        assert await response.json() == {"detail": "Session expired or does not exist"}


async def test_a_plain_request_for_the_chat_is_told_to_upgrade(node: Node) -> None:
    async with node.http.get("/chat", params={"token": await node.client.token()}) as response:
        assert response.status == 426


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://localhost:3001", "https://127.0.0.1", "http://x:y"]
)
async def test_a_page_of_another_origin_gets_no_socket(node: Node, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await node.client.open(await node.client.token(), headers={"Origin": origin})
    assert refused.value.status == 403


async def test_pages_of_ours_and_of_allowed_origins_get_sockets(serve: ServeNode) -> None:
    node = await serve(cors_origins="http://localhost:3000, https://chat.example")
    token = await node.client.token()
    for origin in (node.client.url, "http://localhost:3000", "https://chat.example"):
        socket = await node.client.open(token, headers={"Origin": origin})
        await socket.close()


async def test_a_text_frame_is_a_message_whatever_it_looks_like(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.open(token)
    texts = ["Hello", ' {"type": "stop"} ', "[1", "🦊", "a\0b", '"\\ud800"', "null", "x" * 65_536]
    await socket.send(*texts)
    await eventually(lambda: len(node.intake.messages) == len(texts), "all messages arrive")
    assert node.intake.texts == texts
    assert {of for of, _ in node.intake.messages} == {token}
    assert len({message.id for _, message in node.intake.messages}) == len(texts)
    assert await socket.silent(0.1)


async def test_an_answer_is_json_with_the_fields_of_the_contract(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.open(token)
    await node.joined(token)
    text = 'NUL \0, "quotes", 🦊, \u2028'
    assert await node.publish(token, frame(1, text, internal="x"), frame(2, "No", error="model_timeout")) == 2
    assert await socket.answers(2) == [
        {"id": "frame-1", "msg": text, "timestamp": "2026-01-01T00:00:00+00:00"},
        {"id": "frame-2", "msg": "No", "timestamp": "2026-01-01T00:00:00+00:00", "error": "model_timeout"},
    ]


async def test_bad_input_is_answered_with_an_error_and_the_socket_stays_open(serve: ServeNode) -> None:
    node = await serve(message_max_bytes=100)
    socket = await node.client.open(await node.client.token())
    for bad, code in (
        (b"\x00\xff", "bad_message"),
        (b"", "bad_message"),
        ("", "bad_message"),
        (" \r\n\t ", "bad_message"),
        ("x" * 101, "message_too_large"),
        ("é" * 51, "message_too_large"),
        ("x" * 4_000, "message_too_large"),
    ):
        if isinstance(bad, bytes):
            await socket.socket.send_bytes(bad)
        else:
            await socket.send(bad)
        error = await socket.answer()
        assert error["error"] == code
        assert set(error) == {"id", "msg", "timestamp", "error"}
        assert error["msg"]
    await socket.send("é" * 50)
    await eventually(lambda: node.intake.texts == ["é" * 50], "the socket takes messages")


async def test_a_frame_beyond_reading_closes_its_own_socket_only(node: Node) -> None:
    token, other = await node.client.token(), await node.client.token()
    huge, bystander = await node.client.open(token), await node.client.open(other)
    await node.joined(other)
    await huge.send("x" * 10_000_000)
    assert await huge.close_code() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    await node.publish(other, frame(1))
    assert (await bystander.answer())["id"] == "frame-1"
    assert node.intake.messages == []


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"\xed\xa0\x80"])
async def test_text_that_is_not_utf8_closes_the_socket_as_the_protocol_demands(
    node: Node, bad: bytes
) -> None:
    socket = await node.client.open(await node.client.token())
    await socket.socket.send_frame(bad, aiohttp.WSMsgType.TEXT)
    assert await socket.close_code() == aiohttp.WSCloseCode.INVALID_TEXT
    assert node.intake.messages == []


async def test_a_thousand_messages_at_once_are_taken_in_order(serve: ServeNode) -> None:
    node = await serve(inbox_limit=1000)
    socket = await node.client.open(await node.client.token())
    texts = [str(number) for number in range(1000)]
    await socket.send(*texts)
    await eventually(lambda: len(node.intake.messages) == 1000, "all messages arrive")
    assert node.intake.texts == texts


async def test_reading_pauses_while_too_many_messages_are_unconfirmed(serve: ServeNode) -> None:
    node = await serve(inbox_limit=1000)
    node.intake.confirming = False
    socket = await node.client.open(await node.client.token())
    await socket.send(*map(str, range(1000)))
    bound = limits.UNCONFIRMED_PER_SOCKET
    await eventually(lambda: len(node.intake.messages) == bound, "as many as allowed are on their way")
    assert await socket.silent(0.1)
    assert len(node.intake.messages) == bound
    node.intake.confirming = True
    for future in node.intake.futures[:bound]:
        future.set_result(None)
    await eventually(lambda: len(node.intake.messages) == 1000, "the rest arrives")
    assert node.intake.texts == [str(number) for number in range(1000)]


async def test_a_message_that_failed_is_reported_once_and_one_that_may_be_on_its_way_never(
    node: Node,
) -> None:
    node.intake.confirming = False
    token = await node.client.token()
    socket = await node.client.stream(token)
    await node.joined(token)
    slow, failing = await socket.say("slow"), await socket.say("failing")
    await eventually(lambda: len(node.intake.futures) == 2, "both are on their way")
    node.intake.futures[1].set_exception(RuntimeError("no"))
    error = await socket.until("error")
    assert (error["id"], error["code"]) == (failing, "internal_error")
    await node.publish(token, {"type": "accepted", "id": slow, "position": 0})
    assert (await socket.until("accepted"))["id"] == slow


async def test_an_answer_finished_while_nobody_was_there_comes_first(node: Node) -> None:
    token = await node.client.token()
    kept = [await node.finish(token, text, f"to {text}") for text in ("one", "two")]
    socket = await node.client.open(token)
    assert await socket.answers(2) == [plain(each) for each in kept]
    await node.joined(token)
    await node.publish(token, *kept, frame(3))
    assert (await socket.answer())["id"] == "frame-3"


async def test_messages_that_waited_in_a_session_that_expired_each_get_an_error(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.open(token)
    await node.joined(token)
    await socket.send("one", "two", "three")
    await eventually(lambda: node.intake.texts == ["one", "two", "three"], "three messages to be sent on")
    first, *waiting = [message.id for _, message in node.intake.messages]
    await node.publish(token, error_frame(first, SESSION_EXPIRED))
    errors = await socket.answers(3)
    assert [error["id"] for error in errors] == [answer_id(each) for each in (first, *waiting)]
    assert {error["error"] for error in errors} == {SESSION_EXPIRED}
    await node.publish(token, *(error_frame(each, SESSION_EXPIRED) for each in waiting))
    assert await socket.silent(0.1)


async def test_an_answer_that_arrived_is_not_sent_to_the_next_connection(node: Node) -> None:
    token = await node.client.token()
    await node.finish(token, "one", "to one")
    first = await node.client.open(token)
    await first.answer()
    await first.close()
    await node.gone(token)
    assert await node.sessions.unsent(token) == []
    second = await node.client.open(token)
    assert await second.silent(0.2)


async def test_an_answer_written_to_a_peer_that_vanished_goes_to_the_next_connection(node: Node) -> None:
    token = await node.client.token()
    first = await node.client.open(token, autoping=False)
    await node.joined(token)
    kept = await node.finish(token, "one", "to one")
    await node.publish(token, kept)
    assert (await first.socket.receive()).type is aiohttp.WSMsgType.PING
    await first.answer()  # the write went well, but nothing says that the client was there to read it
    first.vanish()
    second = await node.client.open(token)
    assert await second.answer() == plain(kept)
    assert await second.silent(0.1)  # a client that goes on reading answers pings

    async def marked() -> bool:
        return await node.sessions.unsent(token) == []

    await eventually(marked, "the answer counts as sent")


async def test_two_sockets_of_one_session_get_the_answer_and_no_other_does(node: Node) -> None:
    token, other = await node.client.token(), await node.client.token()
    ours = [await node.client.open(token), await node.client.open(token)]
    stranger = await node.client.open(other)
    await node.joined(token, 2)
    await node.joined(other)
    await node.publish(token, frame(1))
    for socket in ours:
        assert (await socket.answer())["id"] == "frame-1"
    assert await stranger.silent(0.2)


async def test_a_session_on_two_nodes_gets_its_answer_on_both(serve: ServeNode) -> None:
    one = await serve()
    two = await serve()
    token = await one.client.token()
    sockets = [await one.client.open(token), await two.client.open(token)]
    await one.joined(token)
    await two.joined(token)
    assert await one.publish(token, frame(1)) == 2
    for socket in sockets:
        assert (await socket.answer())["id"] == "frame-1"


async def test_a_socket_that_goes_leaves_the_presence_to_the_one_that_stays(node: Node) -> None:
    token = await node.client.token()
    first, second = await node.client.open(token), await node.client.open(token)
    await node.joined(token, 2)
    await first.close()
    await node.joined(token, 1)
    await node.publish(token, frame(1))
    assert (await second.answer())["id"] == "frame-1"
    await second.close()
    await node.gone(token)


@pytest.mark.slow
async def test_a_reader_too_slow_is_cut_off_and_holds_up_nobody(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OUTBOX_FRAMES", 8)
    slow_token, token = await node.client.token(), await node.client.token()
    slow, quick = await node.client.open(slow_token), await node.client.open(token)
    await node.joined(slow_token)
    await node.joined(token)
    transport = slow.socket._response.connection.transport  # type: ignore[union-attr]
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    big = "x" * 1_000_000
    await node.publish(slow_token, *(frame(f"s{number}", big) for number in range(40)))
    await node.publish(token, frame(1))
    assert (await quick.answer())["id"] == "frame-1"
    await node.gone(slow_token)


async def test_a_broken_frame_in_the_stream_disturbs_nobody(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.open(token)
    await node.joined(token)
    (stream,) = await node.redis.keys("web:*")
    bad_id = {"type": "message", "turn": "t", "id": 'a"b', "msg": "", "timestamp": ""}
    for broken in (b"{", b"[]", b"\xff", json.dumps([[token, bad_id], [token, {}], [1], 7]), "{}"):
        await node.redis.xadd(stream, {"frames": broken})
    await node.redis.xadd(stream, {"other": "fields"})
    await node.publish(token, frame(1))
    assert (await socket.answer())["id"] == "frame-1"


@pytest.mark.slow
async def test_a_node_whose_stream_vanished_makes_up_for_what_it_missed(node: Node) -> None:
    token = await node.client.token()
    socket = await node.client.open(token)
    await node.joined(token)
    await node.redis.delete(*await node.redis.keys("web:*"))
    kept = await node.finish(token, "one", "to one")
    assert await node.publish(token, kept) == 0
    assert await socket.answer() == plain(kept)

    async def reached() -> bool:
        return await node.publish(token, frame(2)) == 1

    await eventually(reached, "the session is present again")
    assert (await socket.answer())["id"] == "frame-2"


async def test_a_stopping_node_says_goodbye_and_leaves_nothing_in_redis(serve: ServeNode) -> None:
    node = await serve()
    token = await node.client.token()
    socket = await node.client.open(token)
    await node.joined(token)
    async with asyncio.timeout(30):
        reading = asyncio.create_task(socket.close_code())
        await node.app.shutdown()
        assert await reading == aiohttp.WSCloseCode.GOING_AWAY
    await node.gone(token)
    await node.stop()
    assert await node.redis.keys("web:*") == []
    assert await node.redis.keys("presence:*") == []
