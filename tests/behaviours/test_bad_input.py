"""Whatever a client sends, it gets a clear answer or error, and no other session notices."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSCloseCode, WSMsgType

from faust_redis.testing import eventually
from tests.behaviours.conftest import SESSION_TTL
from tests.support.chat_client import ChatClient

pytestmark = pytest.mark.asyncio(loop_scope="session")

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
# Seconds in which another session must be answered; far below what the abuse takes if it held up the others.
PROMPT_SECONDS = 3.0


@asynccontextmanager
async def undisturbed_neighbour(client: ChatClient) -> AsyncIterator[None]:
    """Talk on another session during the block: it gets its own answers, promptly, and nothing else."""
    done = asyncio.Event()
    socket = await client.open(await client.token("Neighbour"))

    async def talk() -> None:
        number = 0
        while number == 0 or not done.is_set():
            await socket.send(f"neighbour {number}")
            assert (await socket.answer(PROMPT_SECONDS))["msg"] == f"You said: neighbour {number}"
            number += 1

    talking = asyncio.create_task(talk())
    try:
        yield
    finally:
        done.set()
        await talking
    assert await socket.silent(0.1)


@pytest.mark.parametrize("query", ["", "?name=", "?name=%20%09", f"?name={'x' * 65}"])
async def test_a_session_needs_a_name(client: ChatClient, query: str) -> None:
    async with client.http.post(f"/token{query}") as response:
        assert response.status == 400
        assert await response.json() == {"detail": {"loc": "name", "msg": "Enter a valid name"}}


async def test_an_unknown_token_is_refused(client: ChatClient) -> None:
    params = {"token": str(uuid.uuid4())}
    async with client.http.get("/chat", params=params, headers=UPGRADE) as response:
        assert response.status == 403
        assert (await response.json())["detail"]
    for method in ("GET", "POST"):
        async with client.http.request(method, "/refresh_token", params=params) as response:
            assert response.status == 400
            assert await response.json() == {"detail": "Session expired or does not exist"}


async def test_a_session_that_expires_under_its_socket_says_so(hasty_client: ChatClient) -> None:
    token = await hasty_client.token()
    socket = await hasty_client.open(token)
    await socket.send("In time")
    assert (await socket.answer())["msg"] == "You said: In time"

    async def expired() -> bool:
        async with hasty_client.http.get("/refresh_token", params={"token": token}) as response:
            return response.status == 400

    await eventually(expired, "the session has expired", SESSION_TTL + 5)
    await socket.send("Too late", "Much too late")
    errors = await socket.answers(2)
    assert [error["error"] for error in errors] == ["session_expired", "session_expired"]
    assert all(error["msg"] for error in errors)
    assert await socket.silent(0.1)


async def test_a_frame_of_ten_megabytes_closes_its_socket_with_a_code_that_says_so(
    client: ChatClient,
) -> None:
    async with undisturbed_neighbour(client):
        token = await client.token()
        socket = await client.open(token)
        await socket.send("x" * 10_000_000)
        assert await socket.close_code() == WSCloseCode.MESSAGE_TOO_BIG
        (answer,) = await client.ask(token, "Small")
        assert answer["msg"] == "You said: Small"


async def test_a_message_that_is_a_little_too_large_is_refused_and_the_socket_stays(
    client: ChatClient,
) -> None:
    async with undisturbed_neighbour(client):
        socket = await client.open(await client.token())
        await socket.send("x" * 100_000, "Small")
        error, answer = await socket.answers(2)
        assert error["error"] == "message_too_large"
        assert answer["msg"] == "You said: Small"


async def test_binary_frames_are_refused_and_the_socket_stays(client: ChatClient) -> None:
    async with undisturbed_neighbour(client):
        socket = await client.open(await client.token())
        for frame in (b"", b"Hello", b"\x00\xff" * 1000):
            await socket.socket.send_bytes(frame)
            assert (await socket.answer())["error"] == "bad_message"
        await socket.send("Text")
        assert (await socket.answer())["msg"] == "You said: Text"


async def test_invalid_utf8_closes_the_socket_and_the_next_one_works(client: ChatClient) -> None:
    async with undisturbed_neighbour(client):
        token = await client.token()
        socket = await client.open(token)
        await socket.socket.send_frame(b"Hello \xff\xfe", WSMsgType.TEXT)
        assert await socket.close_code() == WSCloseCode.INVALID_TEXT
        (answer,) = await client.ask(token, "Text")
        assert answer["msg"] == "You said: Text"


@pytest.mark.parametrize(
    "text", ['{"type": "stop"}', '{"type":"message","id":"1","text":"Hi"}', "[1, 2", "null", '"']
)
async def test_json_is_a_text_as_any_other(client: ChatClient, text: str) -> None:
    token = await client.token()
    (answer,) = await client.ask(token, text)
    assert answer["msg"] == f"You said: {text}"
    assert (await client.session(token))["messages"][0]["msg"] == f"Human: {text}"


async def test_a_thousand_messages_at_once_get_one_answer_or_one_error_each(client: ChatClient) -> None:
    count = 1000
    token = await client.token()
    async with undisturbed_neighbour(client):
        socket = await client.open(token)
        started = time.monotonic()
        await socket.send(*(f"flood {number}" for number in range(count)))
        frames = await socket.answers(count, timeout=60)
        seconds = time.monotonic() - started
    assert await socket.silent()

    assert len({frame["id"] for frame in frames}) == count, f"in {seconds:.1f} s"
    kinds = Counter(frame.get("error") for frame in frames)
    assert set(kinds) <= {None, "session_busy"}
    answers = [frame["msg"] for frame in frames if "error" not in frame]
    assert answers == sorted(answers, key=lambda text: int(text.split()[-1]))
    texts = [answer.removeprefix("You said: ") for answer in answers]
    history = [message["msg"] for message in (await client.session(token))["messages"]]
    assert history == [side for text in texts for side in (f"Human: {text}", f"Bot: You said: {text}")]
    # More than may wait at once were answered, so the session went on while it was flooded.
    assert len(answers) > 100
