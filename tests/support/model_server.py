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
import json
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

FailureKind = Literal["status", "drop", "hang", "not_json", "html", "die_mid_stream"]

# Requests remembered: more than a test looks at, few enough for a load run of any length.
MAX_REQUESTS = 10_000


@dataclass(frozen=True)
class Question:
    """What the server was asked; the answer function turns it into the answer.

    Attributes:
        last: the last human message, without `Human:`.
        prompt: everything that the model would see, as one text.
    """

    last: str
    prompt: str


@dataclass(frozen=True)
class Seen:
    """A request that arrived; its headers' names are found in any case."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    peer: tuple[str, int]


@dataclass(frozen=True)
class Failure:
    """How one request is to fail; see `ModelServer.fail_next`."""

    kind: FailureKind
    status: int = 500
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


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
        model: str = "parley/fake",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.answer = answer
        self.latency = latency
        self.tokens = tokens
        self.token_delay = token_delay
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
        times: int = 1,
    ) -> None:
        """Let the next requests, after those already planned for, fail.

        Args:
            kind: `status` answers with `status`, `body` (a str is sent as it is, all else as JSON) and
                `headers`; `drop` closes the connection without an answer; `hang` never answers; `not_json`
                and `html` answer 200 with a text or a page; `die_mid_stream` hangs up in mid-answer.
            times: how many requests.
        """
        self._plan.extend([Failure(kind, status, body, headers or {})] * times)

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
            if failure is not None and failure.kind != "die_mid_stream":
                return await self._fail(request, failure)
            dies = failure is not None
            await asyncio.sleep(self.latency)
            if request.path.endswith("/chat/completions"):
                return await self._chat(request, body, dies)
            return await self._generate(request, body, dies)

    async def _generate(self, request: web.Request, body: dict[str, Any], dies: bool) -> web.StreamResponse:
        prompt = body.get("inputs")
        parameters = body.get("parameters", {})
        if not isinstance(prompt, str) or not isinstance(parameters, dict):
            return _invalid("`inputs` must be a text, `parameters` an object")
        tokens = self._tokens(Question(last_human_text(prompt), prompt))
        text = "".join(tokens)
        details: dict[str, object] = {"finish_reason": "length", "generated_tokens": len(tokens)}
        if body.get("stream") or request.path.endswith("/generate_stream"):
            details["input_length"] = len(prompt.split())
            events = (
                {
                    "index": index,
                    "token": {"id": index, "text": token, "logprob": -0.1, "special": False},
                    "generated_text": text if index == len(tokens) else None,
                    "details": details if index == len(tokens) else None,
                }
                for index, token in enumerate(tokens, 1)
            )
            return await self._stream(request, events, dies)
        full_text = prompt + text if parameters.get("return_full_text") else text
        answer: dict[str, object] = {"generated_text": full_text}
        if parameters.get("details"):
            answer["details"] = {**details, "prefill": [], "tokens": []}
        payload = answer if request.path.endswith("/generate") else [answer]
        return await self._whole(request, payload, len(tokens), dies)

    async def _chat(self, request: web.Request, body: dict[str, Any], dies: bool) -> web.StreamResponse:
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            return _invalid("`messages` must be a list of objects")
        said = [(str(message.get("role")), _content(message)) for message in messages]
        last = next((text for role, text in reversed(said) if role == "user"), "")
        tokens = self._tokens(Question(last, "\n".join(f"{role}: {text}" for role, text in said)))
        head = {
            "id": f"chatcmpl-{len(self.requests)}",
            "created": 0,
            "model": body.get("model") or self.model,
            "system_fingerprint": "fake",
        }
        if body.get("stream"):
            deltas = [({"role": "assistant", "content": token}, None) for token in tokens]
            events = (
                {
                    **head,
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
                }
                for delta, reason in [*deltas, ({"role": "assistant", "content": ""}, "stop")]
            )
            return await self._stream(request, events, dies, end="data: [DONE]\n\n")
        message = {"role": "assistant", "content": "".join(tokens)}
        asked = sum(len(text.split()) for _, text in said)
        payload = {
            **head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": len(tokens),
                "total_tokens": asked + len(tokens),
            },
        }
        return await self._whole(request, payload, len(tokens), dies)

    def _tokens(self, question: Question) -> list[str]:
        """Return the answer as tokens: words, each with the white space before it."""
        tokens = re.findall(r"\s*\S+|\s+$", self.answer(question))
        return tokens + [f" word{number}" for number in range(len(tokens) + 1, self.tokens + 1)]

    async def _whole(
        self, request: web.Request, payload: object, tokens: int, dies: bool
    ) -> web.StreamResponse:
        await asyncio.sleep(self.token_delay * tokens)
        if not dies:
            return web.json_response(payload)
        body = json.dumps(payload).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        return _hang_up(request, response)

    async def _stream(
        self, request: web.Request, events: Iterator[Mapping[str, object]], dies: bool, end: str = ""
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for event in self._paced(events):
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
            if dies:
                return _hang_up(request, response)
        await response.write(end.encode())
        await response.write_eof()
        return response

    async def _paced(self, events: Iterator[Mapping[str, object]]) -> AsyncIterator[Mapping[str, object]]:
        for number, event in enumerate(events):
            if number and self.token_delay:
                await asyncio.sleep(self.token_delay)
            yield event

    async def _fail(self, request: web.Request, failure: Failure) -> web.StreamResponse:
        match failure.kind:
            case "drop":
                return _hang_up(request, web.Response())
            case "hang":
                await self._stopping.wait()
                return _hang_up(request, web.Response())
            case "not_json":
                return web.Response(text="This is not JSON.", content_type="application/json")
            case "html":
                page = "<!doctype html><html><title>Welcome</title><p>It works!</p></html>"
                return web.Response(text=page, content_type="text/html")
        if isinstance(failure.body, str):
            return web.Response(status=failure.status, text=failure.body, headers=failure.headers)
        body = {"error": f"planned failure {failure.status}"} if failure.body is None else failure.body
        return web.json_response(body, status=failure.status, headers=failure.headers)

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
        # Whoever waits holds the event that is set here; the next change needs a fresh one.
        self._in_flight_changed.set()
        self._in_flight_changed = asyncio.Event()


def last_human_text(prompt: str) -> str:
    """Return the last human message of a prompt, without `Human:` and without the ` Bot:` at the end."""
    return prompt.rpartition("Human:")[2].strip().removesuffix("Bot:").strip()


def _content(message: Mapping[str, Any]) -> str:
    """Return a chat message's text, which may come as one text or as parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _invalid(detail: str) -> web.Response:
    return web.json_response({"error": detail, "error_type": "validation"}, status=422)


def _hang_up(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Close the connection at once; what was written may still arrive, nothing more does."""
    if request.transport is not None:
        request.transport.close()
    return response


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ModelServer(**vars(arguments)) as server:
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
    parser.add_argument("--model", default="parley/fake", help="the model's name")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
