"""Whatever bytes come over the wire, a secret in each of them: nothing raises, and no secret gets out."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.behaviours.conftest import (
    COLLECTOR_KEY,
    MODEL_KEY,
    MODEL_PASSWORD,
    REDIS_PASSWORD,
    SEALED_ADMIN,
    SYSTEM_PROMPT,
)
from tests.support.chat_client import ChatClient
from tests.support.collector import Collector
from tests.support.command import parley
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Inputs of each kind. FUZZ=1000 looks longer.
ROUNDS = int(os.environ.get("FUZZ", "100"))
SEED = int(os.environ.get("FUZZ_SEED", str(random.randrange(10**6))))


def spoil(chance: random.Random, text: str) -> bytes:
    """Return a text as bytes, sometimes with a byte that does not belong there."""
    data = bytearray(text.encode("utf-8", "surrogateescape"))
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        data.insert(chance.randrange(len(data) + 1), chance.choice(b'\x00\x1b\x7f\xff\r\n "{}%'))
    return bytes(data)


def head(chance: random.Random, secret: str) -> bytes:
    """Return a request head with a secret somewhere."""
    paths = (
        "/token",
        "/refresh_token",
        "/chat",
        "/",
        "/api/stages/infer/dead",
        "/stages",
        f"/{secret}",
        "/metrics",
        "/session",
        "/logout",
    )
    path = chance.choice(paths)
    query = chance.choice(
        ("", "?token={0}", "?token={0}&q=a b", "?name={0}", "?before={0}", "?{0}", "?token=%ff{0}")
    )
    headers = [
        chance.choice(
            (
                "Authorization: Bearer {0}",
                "Authorization: Bearer {0}\x1b",
                "Authorization: {0}",
                "Cookie: session={0}",
                "Origin: http://{0}.example",
                "X-{0}: 1",
                "Expect: {0}",
                "Sec-WebSocket-Protocol: parley.v1, token.{0}",
                "Sec-WebSocket-Protocol: {0}",
                "X-Forwarded-For: {0}",
                "Content-Length: {0}",
                "Transfer-Encoding: {0}",
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {0}",
            )
        )
        for _ in range(chance.randint(0, 3))
    ]
    host = chance.choice(("localhost", "localhost", "localhost", "{0}", "evil.example"))
    method = chance.choice(("GET", "POST", "DELETE", "OPTIONS", "PUT", "HEAD", "{0}"))
    version = chance.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "{0}"))
    lines = [f"{method} {path}{query} {version}", f"Host: {host}", *headers, "Connection: close"]
    return spoil(chance, "\r\n".join(lines).replace("{0}", secret)) + b"\r\n\r\n"


def body(chance: random.Random, secret: str) -> bytes:
    """Return the JSON of a request or of a frame, with a secret somewhere."""
    texts = (
        '{"id": "{0}"}',
        '{"id": {"{0}": 1}}',
        '["{0}"]',
        '"{0}"',
        '{"{0}": "{0}"}',
        "{0}",
        '{"type": "message", "id": "{0}", "text": "{0}"}',
        '{"type": "message", "id": "a/{0}", "text": "Hi"}',
        '{"type": "message", "id": "m", "text": {"{0}": 1}}',
        '{"type": "stop", "turn": "{0}"}',
        '{"type": "regenerate", "id": "{0}"}',
        '{"type": "message", "id": "{0}", "text": "see http://{0}.example/?token={0}"}',
        '{"type": "{0}"}',
        '{"type": "message", "id": "\\ud800", "text": "\\u0000{0}"}',
    )
    return spoil(chance, chance.choice(texts).replace("{0}", secret))


def frame(chance: random.Random, secret: str) -> bytes:
    """Return the bytes of a frame, as a client sends it or should not."""
    payload = body(chance, secret)[:125]
    first = chance.choice((0x81, 0x81, 0x81, 0x01, 0x80, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0x83, 0xFF))
    masked = chance.random() < 0.95
    mask = bytes(chance.randrange(256) for _ in range(4)) if masked else b""
    if masked:
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    length = chance.choice((len(payload), len(payload), len(payload), chance.randrange(126)))
    return struct.pack("!BB", first, (0x80 if masked else 0) | length) + mask + payload


async def talk(port: int, *sent: bytes, seconds: float = 1.0) -> bytes:
    """Send bytes on a connection of their own; return what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        for each in sent:
            writer.write(each)
            await writer.drain()
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65536):
                received += piece
    writer.close()
    return received


def handshake(token: str, protocol: str) -> bytes:
    """Return the request that makes a socket."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    return (
        f"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Protocol: {protocol}token.{token}\r\n\r\n"
    ).encode()


@contextlib.asynccontextmanager
async def canary() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve an address that a client names; give it, and the requests that arrive there."""
    seen: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(65536))
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seen


async def printed_by_commands(up: Up) -> list[str]:
    """Return what an operator's commands print."""
    lines: list[str] = []
    for words in (
        ("top", "--once"),
        ("top", "--once", "--json"),
        ("dead", "list"),
        ("dead", "list", "--json"),
        ("load", "--url", f"ftp://ada:{MODEL_PASSWORD}@127.0.0.1"),
    ):
        ended = await asyncio.to_thread(parley, Path(up.data_dir), *words, **up.environment)
        lines += [*ended.stdout.splitlines(), *ended.stderr.splitlines()]
    assert len(lines) > 10
    return lines


async def test_no_input_raises_and_no_secret_gets_out(
    sealed: Up, model: ModelServer, collector: Collector
) -> None:
    chance = random.Random(SEED)
    async with ChatClient(sealed.url) as client:
        token, talking = await client.token(), await client.token()
        # The session of the first may be ended by what is sent; that of the second is for the sockets.
        secrets = (token, SEALED_ADMIN, MODEL_PASSWORD, MODEL_KEY, REDIS_PASSWORD, COLLECTOR_KEY)
        places = asyncio.Semaphore(20)

        async def put(make: Callable[[], tuple[bytes, ...]]) -> bytes:
            async with places:
                return await talk(sealed.port, *make())

        def request() -> tuple[bytes, ...]:
            return (head(chance, chance.choice(secrets)),)

        def post() -> tuple[bytes, ...]:
            data = body(chance, chance.choice(secrets))
            path = chance.choice(("/token", "/logout", "/refresh_token", "/api/stages/dead/replay"))
            kind = chance.choice(
                ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
            )
            admin = f"Authorization: Bearer {SEALED_ADMIN}\r\n" if chance.random() < 0.3 else ""
            start = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{admin}Content-Type: {kind}\r\n"
            return f"{start}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode(), data

        def socket() -> tuple[bytes, ...]:
            protocol = chance.choice(("parley.v1, ", "parley.v1, ", "", "nonsense, "))
            frames = [frame(chance, chance.choice((*secrets, talking))) for _ in range(chance.randint(1, 6))]
            return handshake(talking, protocol), *frames

        answers = await asyncio.gather(
            *(put(make) for make in (request, post, socket) for _ in range(ROUNDS))
        )
        assert not [answer for answer in answers if answer.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5"))], SEED
        assert not [answer for answer in answers if b"set-cookie" in answer.lower()], SEED
        assert sum(answer.startswith(b"HTTP/1.1 101") for answer in answers) > ROUNDS // 4, "sockets opened"
        # A reply to a client may quote its own request; replies to others may not.
        shown = list(sealed.lines)
        for path in (
            "/",
            "/stages",
            "/api/stages",
            "/api/stages/history",
            "/api/stages/infer/dead",
            "/metrics",
        ):
            async with client.http.get(path) as response:
                assert response.status == 200, path
                shown += (await response.text()).splitlines()
        for stage in ("ingest", "enrich", "infer", "deliver"):
            port = sealed.port + {"ingest": 10000, "enrich": 10100, "infer": 10200, "deliver": 10300}[stage]
            port = port if port <= 65535 else port - 20000
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{port}/metrics") as response,
            ):
                shown += (await response.text()).splitlines()
        shown += await printed_by_commands(sealed)
        shown += sealed.children().values()
        for secret in (*secrets, SYSTEM_PROMPT, token[9:], talking[9:]):
            told = [line for line in shown if secret in line]
            assert not told, (SEED, told[0])
        # The id of a message is the client's, and stays in its trace even if it has the shape of a token.
        for secret in (*secrets[1:], SYSTEM_PROMPT):
            traced = [span for span in collector.spans if secret in str(span)]
            assert not traced, (SEED, traced[0])
        assert not [line for line in sealed.lines if "Traceback" in line], SEED
        assert not [line for line in shown if set(line) & set("\x1b\x00\x9b\u202e")], SEED
        # It still works, also for the one in whose name all this was sent.
        other = await client.token()
        (answer,) = await client.ask(other, "Hello")
        assert answer["msg"] == "You said: Hello"
    noise = [line for line in sealed.lines if " refused" in line or "was closed" in line]
    assert len(noise) < 40, "the log holds one line of each kind"


async def test_no_client_makes_the_service_fetch_an_address_or_give_a_token_away(
    sealed: Up, model: ModelServer
) -> None:
    async with ChatClient(sealed.url) as client, canary() as (url, seen):
        token = await client.token(url)
        (answer,) = await client.ask(token, f"![see]({url}) <img src={url}> {url}")
        headers = {
            "X-Forwarded-Host": url,
            "X-Forwarded-For": url,
            "Forwarded": f"for={url}",
            "Referer": url,
            "Traceparent": url,
        }
        for method in ("GET", "POST", "DELETE"):
            for path in ("/", "/refresh_token", "/token", "/static/" + url, f"/{url}"):
                async with client.http.request(
                    method, path, headers=headers, params={"url": url, "name": url}
                ):
                    pass

    assert url in answer["msg"]
    assert seen == []
    asked = model.requests[-1]
    assert url in str(asked)
    assert token not in str(asked)
