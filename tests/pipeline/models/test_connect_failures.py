"""Errors and log lines distinguish the causes of a failed connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from yarl import URL

from pipeline.errors import ModelError
from pipeline.models import ModelRequest, connect_failures, whole_answer
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.silence import Patience
from tests.support.model_server import ModelServer


async def failure_of(url: str, question: ModelRequest, *, proxy: str | None = None) -> ModelError:
    model = ChatCompletions(
        url,
        model=None,
        token=None,
        patience=Patience(5, 5),
        max_tokens=5,
        proxy=URL(proxy) if proxy else None,
    )
    with pytest.raises(ModelError) as caught:
        await whole_answer(model, question)
    await model.close()
    return caught.value


@asynccontextmanager
async def listening(reply: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port that answers everything with fixed bytes, or accepts connections and stays silent."""

    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        try:
            await reader.read(1)
            if reply is not None:
                writer.write(reply)
            else:
                while await reader.read(4096):
                    pass
        except OSError:
            pass
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*(each for each in handlers if each))


async def test_a_port_that_nobody_listens_on_refuses(question: ModelRequest) -> None:
    async with listening(None) as port:
        pass
    error = await failure_of(f"http://127.0.0.1:{port}/v1", question)
    assert (error.code, error.retryable) == ("model_unreachable", True)
    assert "refuses the connection" in error.detail
    assert f"127.0.0.1:{port}" in error.log_line
    assert str(port) not in error.detail


async def test_a_name_without_an_address_names_the_dns(question: ModelRequest) -> None:
    error = await failure_of("http://nowhere.invalid/v1", question)
    assert "(DNS)" in error.detail
    assert "nowhere" not in error.detail
    assert "nowhere.invalid" in error.log_line


async def test_tls_on_a_port_that_answers_in_plain_text_is_named(question: ModelRequest) -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") as port:
        error = await failure_of(f"https://127.0.0.1:{port}/v1", question)
    assert (error.code, error.retryable) == ("model_unreachable", False)
    assert "TLS" in error.detail
    assert "http:// instead of https://" in error.detail


async def test_tls_on_a_port_that_does_not_answer_fails_in_time_and_is_named(
    question: ModelRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.models.endpoint.CONNECT_TIMEOUT", 0.5)
    async with listening(None) as port:
        error = await failure_of(f"https://127.0.0.1:{port}/v1", question)
    assert (error.code, error.retryable) == ("model_unreachable", False)
    assert "TLS handshake" in error.detail


def test_a_connection_takes_ten_seconds_at_most() -> None:
    assert connect_failures.CONNECT_TIMEOUT + connect_failures.PROBE_TIMEOUT <= 10


async def test_a_certificate_that_is_not_trusted_is_named(
    question: ModelRequest, untrusted_certificate: tuple[Path, Path]
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*untrusted_certificate)
    async with listening(b"", tls) as port:
        error = await failure_of(f"https://127.0.0.1:{port}/v1", question)
    assert (error.code, error.retryable) == ("model_unreachable", False)
    assert "certificate is not trusted (it is self-signed)" in error.detail


async def test_plain_text_on_a_port_of_tls_is_named(question: ModelRequest) -> None:
    async with listening(b"\x15\x03\x01\x00\x02\x02\x46") as port:
        error = await failure_of(f"http://127.0.0.1:{port}/v1", question)
    assert "https:// instead of http://" in error.detail


async def test_a_request_goes_through_the_proxy(server: ModelServer, question: ModelRequest) -> None:
    # The server takes the request in the form that proxies get, and answers for the host that it names.
    model = ChatCompletions(
        "http://models.example/v1",
        model=None,
        token=None,
        patience=Patience(5, 5),
        max_tokens=5,
        proxy=URL(server.url),
    )
    assert await whole_answer(model, question) == "You said: How are you?"
    await model.close()
    assert server.requests[-1].headers["Host"] == "models.example"


async def test_a_proxy_that_is_away_is_named(question: ModelRequest) -> None:
    async with listening(None) as port:
        pass
    error = await failure_of("http://models.example/v1", question, proxy=f"http://127.0.0.1:{port}")
    assert "proxy" in error.detail
