"""A model server without a model: it speaks both protocols of Hugging Face, and fails when told to.

In a test:

    async with ModelServer(latency=0.05) as server:
        server.fail_next(status=503, body={"error": "loading", "estimated_time": 20})
        ...
        assert server.requests[-1].body["inputs"] == "Human: Hello Bot:"

As a process of its own, which prints its address on its first line and serves until SIGTERM or Ctrl-C:

    python -m tests.support.model_server --port 0 --latency 0.05 --tokens 40

`POST …/chat/completions` is chat completions, every other POST is text generation (`…/generate` answers with
an object, `…/generate_stream` with events, the rest with a list, as text-generation-inference does), and
`GET /v1/models` lists the one model. `max_new_tokens` is recorded, not obeyed: the test chooses the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from tests.support.model_failures import Failure, FailureKind, events_of, fail_stream, hang_up, refuse
from tests.support.model_protocols import Completion, Generation, Question, Reply, last_human_text, split
from tests.support.model_rules import Rule, no_system_role, roles_alternate

__all__ = ["Failure", "FailureKind", "ModelServer", "Question", "echo", "last_human_text"]

# Requests remembered: more than a test looks at, few enough for a load run of any length.
MAX_REQUESTS = 10_000


@dataclass(frozen=True)
class Seen:
    """A request that arrived; its headers' names are found in any case."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    peer: tuple[str, int]


def echo(question: Question) -> str:
    """Answer with the question, so that a test sees whose answer it holds."""
    return f"You said: {question.last}"


class ModelServer:
    """The server; use it as an async context manager, then `url` is its address.

    Args:
        answer: makes the answer's text.
        latency: seconds before the first byte of an answer.
        tokens: how many tokens an answer has at least; a shorter one is filled up with words.
        token_delay: seconds between two tokens of a stream; without one, the whole answer waits as long.
        thoughts: how many thoughts a chat's answer has before its first token.
        thoughts_field: where they stand in a message: a field of its own, or `content`, between tags.
        rules: what the server refuses; the first rule that refuses a chat request answers it.
        model: the model's name.

    Attributes:
        requests: what arrived, oldest first, the last 10,000.
        in_flight: requests being answered now; one that its client gave up leaves at once.
        most_in_flight: the most there were at the same time.
    """

    def __init__(
        self,
        *,
        answer: Callable[[Question], str] = echo,
        latency: float = 0.0,
        tokens: int = 0,
        token_delay: float = 0.0,
        thoughts: int = 0,
        thoughts_field: str = "reasoning_content",
        rules: Iterable[Rule] = (),
        model: str = "parley/fake",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.answer = answer
        self.latency = latency
        self.tokens = tokens
        self.token_delay = token_delay
        self.thoughts = thoughts
        self.thoughts_field = thoughts_field
        self.rules = list(rules)
        self.model = model
        self.requests: deque[Seen] = deque(maxlen=MAX_REQUESTS)
        self.in_flight = 0
        self.most_in_flight = 0
        self._host = host
        self._port = port
        self._plan: deque[Failure] = deque()
        self._stopping = asyncio.Event()
        self._in_flight_changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address, without a path: the one for text generation."""
        return f"http://{self._host}:{self._port}"

    @property
    def chat_url(self) -> str:
        """The address for chat completions, as a client of OpenAI's wants it."""
        return f"{self.url}/v1"

    @property
    def connections(self) -> int:
        """How many connections the remembered requests came over."""
        return len({seen.peer for seen in self.requests})

    def fail_next(
        self,
        kind: FailureKind = "status",
        *,
        status: int = 500,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        after: int = 1,
        times: int = 1,
    ) -> None:
        """Let the next requests, after those already planned for, fail; see `Failure`.

        Args:
            times: how many requests.
        """
        self._plan.extend([Failure(kind, status, body, headers or {}, after)] * times)

    def heal(self) -> None:
        """Forget the failures that are still planned."""
        self._plan.clear()

    async def wait_for_in_flight(self, count: int) -> None:
        """Return once `count` requests are being answered; give up after 10 s."""
        async with asyncio.timeout(10):
            while self.in_flight != count:
                await self._in_flight_changed.wait()

    async def start(self) -> None:
        """Listen; `url` holds the port from here on."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.add_routes([web.get("/v1/models", self._models), web.post("/{path:.*}", self._post)])
        # Handlers are cancelled when their client goes away, as a real server stops generating.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the connections and stop listening."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _models(self, request: web.Request) -> web.Response:
        entry = {"id": self.model, "object": "model", "created": 0, "owned_by": "parley"}
        return web.json_response({"object": "list", "data": [entry]})

    async def _post(self, request: web.Request) -> web.StreamResponse:
        with self._counted():
            try:
                body = await request.json()
            except ValueError:
                return _invalid("the body is not JSON")
            if not isinstance(body, dict):
                return _invalid("the body is not an object")
            peer = request.transport.get_extra_info("peername") if request.transport else ("", 0)
            self.requests.append(Seen(request.path, request.headers, body, peer))
            failure = self._plan.popleft() if self._plan else None
            if failure is not None and failure.refuses:
                return await refuse(request, failure, self._stopping)
            await asyncio.sleep(self.latency)
            reply: Reply
            if request.path.endswith("/chat/completions"):
                thoughts = ["Hm."] * self.thoughts
                reply = Completion(
                    body, model=self.model, thoughts=thoughts, thoughts_field=self.thoughts_field
                )
            else:
                reply = Generation(body, as_object=request.path.endswith("/generate"))
            if reply.question is None:
                return _invalid(reply.refusal)
            if isinstance(reply, Completion):
                for status, refusal in filter(None, (rule(body) for rule in self.rules)):
                    return web.json_response(refusal, status=status)
            tokens = split(self.answer(reply.question), self.tokens)
            streamed = body.get("stream") or request.path.endswith("/generate_stream")
            if streamed and not (failure is not None and failure.kind == "plain"):
                return await self._stream(request, reply, tokens, failure)
            return await self._whole(request, reply.whole(tokens), len(tokens), failure)

    async def _whole(
        self, request: web.Request, payload: object, tokens: int, failure: Failure | None
    ) -> web.StreamResponse:
        await asyncio.sleep(self.token_delay * tokens)
        body = orjson.dumps(payload)
        if failure is None or not failure.breaks:
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        return hang_up(request, response)

    async def _stream(
        self, request: web.Request, reply: Reply, tokens: list[str], failure: Failure | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        events = events_of(reply, tokens, failure)
        if failure is not None and failure.breaks:
            return await fail_stream(request, response, self._paced(events), failure, self._stopping)
        if self.token_delay or (failure is not None and failure.kind == "endless"):
            async for event in self._paced(events):
                await response.write(event)
        else:
            # Nothing to wait for between them: one write for all takes a fraction of the time.
            await response.write(b"".join(events))
        await response.write_eof()
        return response

    async def _paced(self, events: Iterable[bytes]) -> AsyncIterator[bytes]:
        """Yield the events at the rate asked for, however long it takes to send each."""
        clock = asyncio.get_running_loop().time
        start = clock()
        for number, event in enumerate(events):
            if number and (wait := start + number * self.token_delay - clock()) > 0:
                await asyncio.sleep(wait)
            yield event

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self.in_flight += change
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        # Waiting tasks hold the event that is set here; the next change needs a new one.
        self._in_flight_changed.set()
        self._in_flight_changed = asyncio.Event()


def _invalid(detail: str) -> web.Response:
    return web.json_response({"error": detail, "error_type": "validation"}, status=422)


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options = vars(arguments)
    rules = (roles_alternate, no_system_role) if options.pop("strict") else ()
    async with ModelServer(**options, rules=rules) as server:
        print(server.url, flush=True)
        await stop.wait()


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="A model server without a model, for tests and load runs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3600, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer starts")
    parser.add_argument("--tokens", type=int, default=0, help="tokens of an answer, at least")
    parser.add_argument("--token-delay", type=float, default=0.0, help="seconds between two tokens")
    parser.add_argument("--thoughts", type=int, default=0, help="thoughts before the answer of a chat")
    parser.add_argument(
        "--thoughts-field", default="reasoning_content", help="where they stand; content puts them in tags"
    )
    parser.add_argument(
        "--strict", action="store_true", help="roles must alternate, and there is none for the system"
    )
    parser.add_argument("--model", default="parley/fake", help="the model's name")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
