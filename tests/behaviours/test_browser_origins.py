"""A React client at http://localhost:3000 works with the service that `make up` runs."""

from __future__ import annotations

import pytest
from aiohttp import WSServerHandshakeError

from tests.support.chat_client import ChatClient

pytestmark = pytest.mark.asyncio(loop_scope="session")

REACT = {"Origin": "http://localhost:3000"}
FOREIGN = {"Origin": "http://evil.example"}


async def test_the_react_client_of_the_tutorial_works(hasty_client: ChatClient) -> None:
    http = hasty_client.http
    async with http.post("/token", params={"name": "Ada"}, headers=REACT) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == REACT["Origin"]
        token = (await response.json())["token"]
    socket = await hasty_client.open(token, headers=REACT)
    await socket.send("Hello")
    assert (await socket.answer())["msg"] == "You said: Hello"
    async with http.get("/refresh_token", params={"token": token}, headers=REACT) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == REACT["Origin"]
        assert len((await response.json())["messages"]) == 2


async def test_a_browser_may_ask_before_it_posts_json(hasty_client: ChatClient) -> None:
    asked = {
        **REACT,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with hasty_client.http.options("/token", headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == REACT["Origin"]
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "content-type"


async def test_an_error_can_be_read_by_the_react_client_too(hasty_client: ChatClient) -> None:
    async with hasty_client.http.post("/token", headers=REACT) as response:
        assert response.status == 400
        assert response.headers["Access-Control-Allow-Origin"] == REACT["Origin"]


async def test_a_foreign_page_gets_no_socket_and_cannot_read_answers(hasty_client: ChatClient) -> None:
    async with hasty_client.http.post("/token", params={"name": "Eve"}, headers=FOREIGN) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
    with pytest.raises(WSServerHandshakeError) as refused:
        await hasty_client.open(await hasty_client.token(), headers=FOREIGN)
    assert refused.value.status == 403


async def test_in_production_no_other_origin_is_let_in_unless_named(client: ChatClient) -> None:
    async with client.http.post("/token", params={"name": "Ada"}, headers=REACT) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
    with pytest.raises(WSServerHandshakeError) as refused:
        await client.open(await client.token(), headers=REACT)
    assert refused.value.status == 403
    socket = await client.open(await client.token(), headers={"Origin": client.url})
    await socket.send("From our own page")
    assert (await socket.answer())["msg"] == "You said: From our own page"
