"""Connections that the server closes while the next request is on its way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pipeline.errors import ModelError
from pipeline.models import ModelRequest, whole_answer
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.silence import Patience
from tests.support.raw_server import chunked, head
from tests.support.wire_cases.case import WHOLE

ANSWER = head("200 OK", "Transfer-Encoding: chunked", "Keep-Alive: timeout=5, max=100") + chunked(WHOLE)


class Fleeting:
    """Answers the first requests of each connection, and closes it at the next one without a word.

    Attributes:
        requests: the number of requests on each connection.
    """

    def __init__(self, answers: int) -> None:
        self.requests: list[int] = []
        self._answers = answers
        self._handlers: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ChatCompletions]:
        """Yield a client of the server."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            patience = Patience(first=20, between=20)
            model = ChatCompletions(
                f"http://127.0.0.1:{port}/v1", model=None, token=None, patience=patience, max_tokens=5
            )
            yield model
            await model.close()
            await asyncio.gather(*(each for each in self._handlers if each))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handlers.add(asyncio.current_task())
        at = len(self.requests)
        self.requests.append(0)
        while begin := await reader.read(1):
            self.requests[at] += 1
            if self.requests[at] > self._answers:
                break
            rest = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", begin + rest)
            assert length is not None
            await reader.readexactly(int(length[1]))
            writer.write(ANSWER)
            await writer.drain()
        writer.transport.abort()


async def test_a_request_on_a_connection_that_closes_is_sent_again_at_once(question: ModelRequest) -> None:
    server = Fleeting(answers=1)
    async with server.serving() as model:
        for _ in range(3):
            assert await whole_answer(model, question) == "Hello you"
    assert server.requests == [2, 2, 1]


async def test_several_kept_connections_that_close_cost_one_sending_each(question: ModelRequest) -> None:
    server = Fleeting(answers=1)
    async with server.serving() as model:
        for _ in range(2):
            answers = await asyncio.gather(*(whole_answer(model, question) for _ in range(4)))
            assert answers == ["Hello you"] * 4
    assert sum(server.requests) == 12


async def test_a_new_connection_that_closes_is_an_error(question: ModelRequest) -> None:
    server = Fleeting(answers=0)
    async with server.serving() as model:
        with pytest.raises(ModelError) as caught:
            await whole_answer(model, question)
    assert (caught.value.code, caught.value.retryable) == ("model_unreachable", True)
    assert server.requests == [1]
