"""Attackers, each in its own process: they know only the public interface of the service.

    python -m tests.behaviours.attacks.attackers repeats http://127.0.0.1:3500 20000

It prints what it was answered, as one line of JSON: how often each status or error code came.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

ADDRESS = "203.0.113.66"
"""The attacker's address, as reported by the proxy in front of the service."""

# Seconds after which a client hangs up that does not mean to read.
_HANG_UP_SECONDS = 0.5
# Seconds without a further answer after which an attack is over.
_QUIET_SECONDS = 2.0
# Connections at the same time, of attacks that open many.
_AT_ONCE = 8

Seen = Counter[str]


async def repeats(http: aiohttp.ClientSession, count: int) -> Seen:
    """Send one message again and again, as fast as a socket takes it."""
    return await _flood(http, ['{"type":"message","id":"again","text":"hello"}'] * count)


async def messages(http: aiohttp.ClientSession, count: int) -> Seen:
    """Send many messages of one session, each new."""
    frames = (json.dumps({"type": "message", "id": str(number), "text": "hello"}) for number in range(count))
    return await _flood(http, list(frames))


async def plain(http: aiohttp.ClientSession, count: int) -> Seen:
    """Send many messages of one session by the plain protocol."""
    return await _flood(http, ["hello"] * count, protocols=())


async def tokens(http: aiohttp.ClientSession, count: int) -> Seen:
    """Ask for many sessions."""
    seen: Seen = Counter()

    async def ask(number: int) -> None:
        async with http.post("/token", params={"name": f"n{number}"}) as response:
            seen[str(response.status)] += 1

    await _at_once(ask, count)
    return seen


async def sockets(http: aiohttp.ClientSession, count: int) -> Seen:
    """Open many sockets of one session and close them."""
    token, seen = await _token(http), Counter[str]()

    async def open_and_close(_number: int) -> None:
        try:
            async with http.ws_connect("/chat", params={"token": token}):
                seen["101"] += 1
        except aiohttp.WSServerHandshakeError as refused:
            seen[str(refused.status)] += 1

    await _at_once(open_and_close, count)
    return seen


async def long_history(http: aiohttp.ClientSession, count: int) -> Seen:
    """Fill one session with large messages, read all of it and hang up, then come back after no message."""
    token, text, seen = await _token(http), "x" * 60_000, Counter[str]()
    async with http.ws_connect("/chat", params={"token": token}, protocols=("parley.v1",)) as socket:
        for _ in range(count):
            await socket.send_json({"type": "message", "id": str(uuid.uuid4()), "text": text})
            while frame := await _frame(socket):
                if frame["type"] in ("message", "error"):
                    seen[frame.get("code", frame["type"])] += 1
                    break
            if frame and frame.get("code") == "session_full":
                break
            if frame and (wait := frame.get("retry_after")):
                await asyncio.sleep(wait)

    async def hang_up(_number: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(_HANG_UP_SECONDS),
                http.get("/refresh_token", params={"token": token}) as response,
            ):
                seen[f"read {response.status}"] += 1
                await response.read()

    async def come_back(_number: int) -> None:
        query = {"token": token, "after": "nope"}
        with contextlib.suppress(aiohttp.WSServerHandshakeError):
            async with http.ws_connect(
                "/chat", params=query, protocols=("parley.v1",), max_msg_size=0
            ) as socket:
                await asyncio.sleep(_QUIET_SECONDS)  # reads nothing
                seen["came back"] += not socket.closed

    await asyncio.gather(*(hang_up(number) for number in range(30)))
    await asyncio.gather(*(come_back(number) for number in range(60)))
    return seen


async def controls(http: aiohttp.ClientSession, count: int) -> Seen:
    """Send control frames, signals and frames that are no message on one socket, as fast as it takes them."""
    kinds = itertools.cycle(
        (
            '{"type":"stop","turn":"nope"}',
            '{"type":"regenerate","id":"nope"}',
            '{"type":"typing"}',
            "{" * 2000,
            '{"type":"message","id":' + "9" * 400 + ',"text":1}',
        )
    )
    return await _flood(http, list(itertools.islice(kinds, count)), pings=True)


async def reads(http: aiohttp.ClientSession, count: int) -> Seen:
    """Read sessions, those of others by guessed tokens too."""
    token, seen = await _token(http), Counter[str]()

    async def read(number: int) -> None:
        asked = token if number % 2 else str(uuid.uuid4())
        async with http.get("/refresh_token", params={"token": asked}) as response:
            seen[str(response.status)] += 1

    await _at_once(read, count)
    return seen


async def endings(http: aiohttp.ClientSession, count: int) -> Seen:
    """Begin sessions and end them, with a message on its way."""
    seen: Seen = Counter()

    async def begin_and_end(_number: int) -> None:
        async with http.post("/token", params={"name": "Mallory"}) as response:
            seen[str(response.status)] += 1
            if response.status != 200:
                return
            token = (await response.json())["token"]
        with contextlib.suppress(aiohttp.WSServerHandshakeError):
            async with http.ws_connect("/chat", params={"token": token}, protocols=("parley.v1",)) as socket:
                await socket.send_json({"type": "message", "id": "m", "text": "hello"})
                async with http.delete("/session", headers={"Authorization": f"Bearer {token}"}) as response:
                    seen[f"ended {response.status}"] += 1

    await _at_once(begin_and_end, count)
    return seen


async def strange_requests(http: aiohttp.ClientSession, count: int) -> Seen:
    """Ask for what is not there or not allowed, with wrong admin tokens and large headers."""
    seen: Seen = Counter()
    paths = ("/nothing", "/api/stages", "/metrics", "/api/stages/infer/dead", "/%00", "/token/../stages")

    async def ask(number: int) -> None:
        headers = {"Authorization": f"Bearer wrong-{number}", "X-Large": "x" * (number % 7 * 1000)}
        async with http.request(
            "GET" if number % 3 else "POST", paths[number % len(paths)], headers=headers
        ) as response:
            seen[str(response.status)] += 1

    await _at_once(ask, count)
    return seen


async def silent(http: aiohttp.ClientSession, count: int) -> Seen:
    """Open connections that send nothing or half a request, and sockets that send half a message."""
    seen: Seen = Counter()
    host, port = str(http._base_url).removeprefix("http://").rstrip("/").split(":")
    held = []
    for number in range(count):
        try:
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError):
            seen["refused"] += 1
            continue
        writer.write((b"", b"GET /token HTTP/1.1\r\nHost: loc", b"\x16\x03\x01")[number % 3])
        held.append(writer)
        seen["open"] += 1
    await asyncio.sleep(_QUIET_SECONDS)  # they stay as they are
    for writer in held:
        writer.close()
    return seen


async def _flood(
    http: aiohttp.ClientSession,
    frames: list[str],
    protocols: tuple[str, ...] = ("parley.v1",),
    *,
    pings: bool = False,
) -> Seen:
    seen: Seen = Counter()
    async with http.ws_connect("/chat", params={"token": await _token(http)}, protocols=protocols) as socket:

        async def read() -> None:
            while frame := await _frame(socket):
                seen[frame.get("code") or frame.get("error") or frame.get("type", "message")] += 1

        reading = asyncio.create_task(read())
        with contextlib.suppress(ConnectionError):  # the service may close the socket of one who floods
            for frame in frames:
                await socket.send_str(frame)
                if pings:
                    await socket.ping(b"x" * 100)
        await reading
        seen[f"closed {socket.close_code}"] += socket.closed
    return seen


async def _frame(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """Return the next frame; None when none comes any more."""
    try:
        received = await socket.receive(timeout=_QUIET_SECONDS)
    except TimeoutError:
        return None
    return json.loads(received.data) if received.type is aiohttp.WSMsgType.TEXT else None


async def _token(http: aiohttp.ClientSession) -> str:
    async with http.post("/token", params={"name": "Mallory"}) as response:
        response.raise_for_status()
        token: str = (await response.json())["token"]
        return token


async def _at_once(work: Callable[[int], Awaitable[None]], count: int) -> None:
    numbers = iter(range(count))

    async def one() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(one() for _ in range(_AT_ONCE)))


ATTACKS: dict[str, Callable[[aiohttp.ClientSession, int], Awaitable[Seen]]] = {
    attack.__name__: attack
    for attack in (
        *(repeats, messages, plain, tokens, sockets, long_history),
        *(controls, reads, endings, strange_requests, silent),
    )
}


async def main(name: str, url: str, count: int) -> None:
    """Run one attack."""
    headers = {"X-Forwarded-For": ADDRESS}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as http:
        print(json.dumps(await ATTACKS[name](http, count)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
