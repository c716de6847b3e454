"""A conversation with a server of chat completions: any that streams as OpenAI's ``/v1/chat/completions``.

Each message is one request with the last turns of the conversation; its answer is a stream of chunks that
ends with a ``finish_reason`` or ``[DONE]``. The service keeps no session, so there is no history to compare.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson

from parley.loadtest.faults import has_twice
from parley.loadtest.ledger import Sent
from parley.loadtest.virtual_user import QueueingUser

KEY_VARIABLE: Final = "LOAD_API_KEY"
"""The variable of the environment with the service's key; a command line is visible to all users."""

# Earlier turns that a request repeats.
_TURNS = 4


@dataclass
class _Answer:
    """The answer to one message.

    Attributes:
        pieces: its text so far.
        ends: the number of its ends: a second one is an answer that came twice.
        error: the code of an error that came instead of its end.
    """

    pieces: list[str] = field(default_factory=list)
    ends: int = 0
    error: str | None = None
    goes_on: bool = False  # whether there was text after the end

    def take(self, chunk: Mapping[str, Any]) -> str:
        """Take a chunk, and return its text.

        Raises:
            AttributeError, LookupError, TypeError: the chunk has another shape.
        """
        if (error := chunk.get("error")) is not None:
            code = error.get("code") or error.get("type") if isinstance(error, Mapping) else None
            self.error = str(code or "error")
            return ""
        text = ""
        for choice in chunk["choices"][:1]:  # the chunk with the usage has no choice
            said = choice.get("delta") or choice.get("message") or {}
            text = said.get("content") or ""
            if not isinstance(text, str):
                raise TypeError("content")
            self.goes_on = self.goes_on or bool(text and self.ends)
            self.pieces.append(text)
            self.ends += choice.get("finish_reason") is not None
        return text


class CompletionsUser(QueueingUser):
    """A conversation of several turns; a message waits for the answer to the one before it."""

    async def open(self) -> None:
        """Begin the conversation; the service hears of it with the first message."""
        self._turns: deque[dict[str, str]] = deque(maxlen=2 * _TURNS)
        self._start(self._talk())

    async def _talk(self) -> None:
        while True:
            await self._wait_for_queued()
            await self._ask(self._outgoing.popleft())

    async def _ask(self, message: Sent) -> None:
        """Send a message, and take its answer."""
        prompt = {"role": "user", "content": self._texts[message.id]}
        answer = _Answer()
        try:
            await self._stream([*self._turns, prompt], answer, message)
        except aiohttp.ClientConnectorError:
            answer.error = "unreachable"
        except aiohttp.ClientResponseError as exc:
            answer.error = f"status_{exc.status}"
        except (aiohttp.ClientError, OSError):
            pass  # the connection broke: without an end, the answer is lost
        except (AttributeError, LookupError, TypeError, ValueError):
            answer.error = "unreadable_answer"
        text = "".join(answer.pieces)
        if answer.error is None and not answer.ends:
            self._lose(message)
            return
        self.ledger.faults.doubled += (
            answer.ends > 1
            or answer.goes_on
            or (self._plan.echo and has_twice(text, self.ledger.session, message.number))
        )
        if answer.error is None:
            self._turns += [prompt, {"role": "assistant", "content": text}]
        self._end(message.id, text, answer.error, "", self._clock())

    async def _stream(self, messages: list[dict[str, str]], answer: _Answer, message: Sent) -> None:
        body: dict[str, Any] = {"model": self._plan.model, "messages": messages, "stream": True}
        if self._plan.max_tokens:
            body["max_tokens"] = self._plan.max_tokens
        key = os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self._http.post("chat/completions", json=body, headers=headers) as response:
            response.raise_for_status()
            if response.content_type == "application/json":
                answer.take(await response.json(loads=orjson.loads))
                return
            async for data in _events(response.content):
                if data == b"[DONE]":
                    # Some servers send no finish_reason.
                    answer.ends = answer.ends or 1
                elif text := answer.take(orjson.loads(data)):
                    self._count_token(message, text, self._clock())


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the data of server-sent events; a line may be of any length."""
    rest = b""
    async for part in content.iter_any():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            if line.startswith(b"data:"):
                yield line[5:].strip()
