"""The heads of requests to a model server, with and without a proxy."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from yarl import URL

from pipeline.models.posting import Poster
from tests.support.raw_server import RawServer, answering, chunked, head

ANSWER = head("200 OK", "Transfer-Encoding: chunked") + chunked(b"data: 1\n\n")
MINE = "Basic " + base64.b64encode(b"me:secret").decode()


@asynccontextmanager
async def posting(
    url: str, headers: dict[str, str] | None = None, proxy: str | None = None
) -> AsyncIterator[Poster]:
    """Yield a client that is closed at the end."""
    poster = Poster(URL(url), headers or {}, proxy=URL(proxy) if proxy else None, connect_timeout=5)
    yield poster
    await poster.close()


def fields(server: RawServer) -> dict[str, str]:
    """Return the fields of the last request."""
    _, *lines = server.heads[-1].split("\r\n")
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}


async def test_a_request_has_the_given_fields_and_the_length_of_its_body() -> None:
    async with answering(ANSWER) as server, posting(f"{server.url}/v1?a=1", {"Accept": "text/x"}) as poster:
        for body in (b'{"a":"b"}', b"[]"):
            response = await poster.post(body)
            await response.content.read()

        assert response.status == 200
        assert server.heads[-1].startswith("POST /v1?a=1 HTTP/1.1\r\n")
        assert fields(server)["Accept"] == "text/x"
        assert fields(server)["Host"] == server.url.removeprefix("http://")
        assert fields(server)["Content-Length"] == "2"
        assert "gzip" in fields(server)["Accept-Encoding"]


async def test_credentials_in_the_url_are_sent_as_a_field_only() -> None:
    async with answering(ANSWER) as server, posting(server.url.replace("//", "//me:secret@")) as poster:
        await poster.post(b"{}")

        assert fields(server)["Authorization"] == MINE
        assert "secret" not in server.heads[-1]


async def test_a_proxy_gets_the_whole_url_and_its_own_credentials() -> None:
    async with answering(ANSWER) as server:
        proxy = server.url.replace("//", "//me:secret@")
        async with posting("http://models.example/v1", proxy=proxy) as poster:
            for _ in range(2):
                await (await poster.post(b"{}")).content.read()

        for sent in server.heads:
            assert sent.startswith("POST http://models.example/v1 HTTP/1.1\r\n")
        assert fields(server)["Proxy-Authorization"] == MINE
        assert "Authorization" not in fields(server)


async def test_an_interim_response_is_not_the_answer() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with answering(interim + ANSWER) as server, posting(server.url) as poster:
        response = await poster.post(b"{}")

        assert response.status == 200
        assert await response.content.read() == b"data: 1\n\n"


async def test_what_is_no_http_is_an_error_of_the_response() -> None:
    async with answering(b"SSH-2.0-OpenSSH\r\n\r\n") as server, posting(server.url) as poster:
        with pytest.raises(aiohttp.ClientResponseError):
            await poster.post(b"{}")


async def test_a_field_with_a_line_break_is_refused() -> None:
    async with answering(ANSWER) as server, posting(server.url, {"A": "b\r\nC: d"}) as poster:
        with pytest.raises(ValueError, match="the header A"):
            await poster.post(b"{}")
