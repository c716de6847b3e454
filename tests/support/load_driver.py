"""A load of many clients that knows nothing of the service but its contract, and checks every answer.

Each client has a session of its own and numbers its messages. It speaks the plain protocol, comes back when
its socket breaks, and notes as a problem whatever the contract does not allow: an answer that is lost, out of
order, someone else's or not as the contract shapes it, and a history that does not hold both sides once.

In a test:

    async with Load(url, sockets=20) as load:
        report = await load.run(messages=20, at_once=1)
    report.check()

From a shell, against a service whose model is tests.support.model_server (or any other, with --any-answer):

    python -m tests.support.load_driver http://127.0.0.1:3500 --sockets 200 --messages 20 --at-once 20
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
import orjson

# Seconds after which a message without an answer counts as lost.
LOST_SECONDS = 90.0
# A message that was on its way when its socket broke may never have arrived, and the plain protocol does not
# show it. Seconds after which it is sent again if the history lacks it; must be longer than the service
# needs to take over what a dead process held, or the message would be there twice.
SEND_AGAIN_SECONDS = 25.0
# Seconds between two looks whether it is time to send again.
_LOOK_SECONDS = 1.0
# Seconds that a service which is down may take to come back for a connection or a request.
_BACK_SECONDS = 60.0
_RETRY_SECONDS = 0.1
# Seconds in which an answer too many would have come.
_QUIET_SECONDS = 0.5
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)

AnswerTo = Callable[[str], str]


def echoed(text: str) -> str:
    """Return what tests.support.model_server answers to a message."""
    return f"You said: {text}"


class Broken(Exception):
    """The socket closed before an answer came."""


@dataclass
class Report:
    """The results of a load.

    Attributes:
        seconds: from the first message to the last answer.
        latencies: seconds from each message, sent alone, to its answer, in ascending order.
        reconnects: sockets that broke.
        sent_again: messages that a broken socket had swallowed.
        repeated: frames that came again on a later socket, which their id tells.
        problems: what the contract does not allow; empty if all is well.
    """

    answers: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    reconnects: int = 0
    sent_again: int = 0
    repeated: int = 0
    problems: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise AssertionError with the first problems, if there are any."""
        shown = "\n".join(self.problems[:10])
        assert not self.problems, f"{len(self.problems)} problems, {self}:\n{shown}"

    def latency(self, share: float) -> float:
        """Return the latency, in seconds, that a share of the messages did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]

    def __str__(self) -> str:
        text = (
            f"{self.answers} answers in {self.seconds:.1f} s = {self.answers / max(self.seconds, 1e-9):.0f}/s"
        )
        if self.latencies:
            text += f", p50 {self.latency(0.5) * 1e3:.1f} ms, p99 {self.latency(0.99) * 1e3:.1f} ms"
        return (
            f"{text}; {self.reconnects} sockets broke, {self.sent_again} messages sent again, "
            f"{self.repeated} frames repeated, {len(self.problems)} problems"
        )


class Client:
    """One session and its socket.

    Attributes:
        answered: how many answers it has.
    """

    def __init__(self, http: aiohttp.ClientSession, name: str, answer_to: AnswerTo | None) -> None:
        """Store the arguments; ``answer_to`` returns the right answer, None accepts any."""
        self.name = name
        self.token = ""
        self.answered = 0
        self.seen = Report()
        self._http = http
        self._answer_to = answer_to
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._said: list[str] = []
        self._frames: dict[str, dict[str, Any]] = {}

    async def converse(self, messages: int | None, at_once: int, stop: asyncio.Event) -> None:
        """Say `messages` messages (None: until `stop`), `at_once` before waiting for their answers."""
        try:
            if not self.token:
                self.token = cast(str, (await self._request("POST", "/token", name=self.name))["token"])
            while not stop.is_set() and (messages is None or len(self._said) < messages):
                size = at_once if messages is None else min(at_once, messages - len(self._said))
                first = len(self._said)
                if not await self._say([f"{self.name}-{number}" for number in range(first, first + size)]):
                    break
            await self._check_silence()
            await self._check_history()
        finally:
            if self._socket is not None:
                await self._socket.close()
                self._socket = None

    async def _say(self, texts: list[str]) -> bool:
        """Say messages and wait for their answers; return whether all came."""
        started = time.monotonic()
        self._said += texts
        unsent, awaited = deque(texts), deque(texts)
        broken_at: float | None = None
        while awaited:
            if time.monotonic() - started > LOST_SECONDS:
                self._problem(f"no answer to {list(awaited)} in {LOST_SECONDS:.0f} s")
                return False
            try:
                socket = await self._connected()
                while unsent:
                    await socket.send_str(unsent[0])
                    unsent.popleft()
                frame = await _frame(socket, _LOOK_SECONDS)
            except (Broken, ConnectionError):
                self.seen.reconnects += 1
                self._socket, broken_at = None, time.monotonic()
            except TimeoutError:
                if broken_at is not None and time.monotonic() - broken_at > SEND_AGAIN_SECONDS:
                    broken_at = None
                    kept = {message["msg"] for message in await self._history()}
                    unsent = deque(text for text in awaited if f"Human: {text}" not in kept)
                    self.seen.sent_again += len(unsent)
            else:
                self._take(frame, awaited)
        if len(texts) == 1:
            self.seen.latencies.append(time.monotonic() - started)
        return True

    def _take(self, frame: dict[str, Any], awaited: deque[str]) -> None:
        if self._frames.get(frame.get("id", "")) == frame:
            self.seen.repeated += 1
            return
        text = awaited.popleft()
        if set(frame) != {"id", "msg", "timestamp"}:
            self._problem(f"{text} got {frame}")
        elif frame["id"] in self._frames:
            self._problem(f"two frames share an id: {frame}, {self._frames[frame['id']]}")
        elif self._answer_to is not None and frame["msg"] != self._answer_to(text):
            self._problem(f"{text} was answered {frame['msg']!r}")
        elif problem := timestamp_problem(frame["timestamp"]):
            self._problem(problem)
        self._frames[str(frame.get("id"))] = frame
        self.answered += 1

    async def _check_silence(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(TimeoutError, Broken):
            while True:
                frame = await _frame(self._socket, _QUIET_SECONDS)
                if self._frames.get(frame.get("id", "")) != frame:
                    self._problem(f"a frame too many: {frame}")

    async def _check_history(self) -> None:
        messages = await self._history()
        human = [message["msg"] for message in messages if message["msg"].startswith("Human: ")]
        bot = [message for message in messages if message["msg"].startswith("Bot: ")]
        if human != [f"Human: {text}" for text in self._said]:
            self._problem(
                f"{len(self._said)} messages were sent, the history has {len(human)}: {human[-30:]}"
            )
        frames = [
            (frame["id"], f"Bot: {frame['msg']}", frame["timestamp"]) for frame in self._frames.values()
        ]
        if [(message["id"], message["msg"], message["timestamp"]) for message in bot] != frames:
            self._problem(f"the answers of the history are not the {len(frames)} received: {bot[-30:]}")
        if [message["msg"].partition(" ")[0] for message in messages] != ["Human:", "Bot:"] * len(self._said):
            self._problem(f"the sides do not alternate: {messages[-30:]}")
        if len({message["id"] for message in messages}) != len(messages):
            self._problem("ids of the history repeat")
        self.seen.problems += filter(None, (timestamp_problem(message["timestamp"]) for message in messages))

    async def _connected(self) -> aiohttp.ClientWebSocketResponse:
        deadline = time.monotonic() + _BACK_SECONDS
        while self._socket is None or self._socket.closed:
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT.total):
                    self._socket = await self._http.ws_connect("/chat", params={"token": self.token})
            except (aiohttp.ClientError, OSError) as exc:
                if time.monotonic() > deadline:
                    raise
                if isinstance(exc, aiohttp.WSServerHandshakeError) and exc.status < 500:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
        return self._socket

    async def _history(self) -> list[dict[str, str]]:
        session = await self._request("GET", "/refresh_token", token=self.token)
        return cast("list[dict[str, str]]", session["messages"])

    async def _request(self, method: str, path: str, **params: str) -> dict[str, Any]:
        """Return the body of a successful answer; go on trying while the service is away."""
        deadline = time.monotonic() + _BACK_SECONDS
        while True:
            try:
                async with self._http.request(
                    method, path, params=params, timeout=_REQUEST_TIMEOUT
                ) as response:
                    if response.status < 500:
                        response.raise_for_status()
                        return cast("dict[str, Any]", await response.json())
            except aiohttp.ClientResponseError:
                raise
            except (aiohttp.ClientError, OSError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_RETRY_SECONDS)

    def _problem(self, text: str) -> None:
        self.seen.problems.append(f"{self.name} ({self.token}): {text}")


class Load:
    """The clients; use it as an async context manager."""

    def __init__(
        self, url: str, sockets: int, *, answer_to: AnswerTo | None = echoed, name: str = "load"
    ) -> None:
        """Describe the clients.

        Args:
            url: of the service, as http://127.0.0.1:3500.
            answer_to: returns the right answer to a message; None accepts any.
            name: what the names of the sessions and the messages start with; no two loads may share it.
        """
        self._url = url
        self._sockets = sockets
        self._answer_to = answer_to
        self._name = name
        self._stop = asyncio.Event()
        self.clients: list[Client] = []

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        self._http = aiohttp.ClientSession(self._url, connector=connector)
        self.clients = [
            Client(self._http, f"{self._name}{number}", self._answer_to) for number in range(self._sockets)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def run(self, messages: int, at_once: int = 1) -> Report:
        """Let every client send ``messages`` messages, ``at_once`` before waiting for their answers."""
        return await self._run(messages, at_once)

    @contextlib.asynccontextmanager
    async def going_on(self, at_once: int = 1) -> AsyncIterator[Report]:
        """Keep all clients talking during the block; the report is filled in when it ends."""
        report = Report()
        self._stop.clear()
        running = asyncio.create_task(self._run(None, at_once))
        try:
            yield report
            self._stop.set()
            report.__dict__.update((await running).__dict__)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def everyone_was_answered(self, timeout: float = 45.0) -> float:
        """Wait until each client had one more answer than now, twice; return the seconds that took.

        Twice, as the first may have been on its way already.

        Raises:
            AssertionError: the time is up; names the clients that wait.
        """
        started = time.monotonic()
        goals = [(client, client.answered + 2) for client in self.clients]
        while waiting := [client.name for client, goal in goals if client.answered < goal]:
            if time.monotonic() - started > timeout:
                problems = [problem for client in self.clients for problem in client.seen.problems]
                raise AssertionError(f"no answers in {timeout:.0f} s for {waiting}; problems: {problems[:5]}")
            await asyncio.sleep(0.02)
        return time.monotonic() - started

    async def _run(self, messages: int | None, at_once: int) -> Report:
        started = time.monotonic()
        ends = await asyncio.gather(
            *(client.converse(messages, at_once, self._stop) for client in self.clients),
            return_exceptions=True,
        )
        total = Report(seconds=time.monotonic() - started - _QUIET_SECONDS)
        for client, end in zip(self.clients, ends, strict=True):
            total.answers += client.answered
            total.latencies += client.seen.latencies
            total.reconnects += client.seen.reconnects
            total.sent_again += client.seen.sent_again
            total.repeated += client.seen.repeated
            total.problems += client.seen.problems
            if end is not None:
                total.problems.append(f"{client.name} ({client.token}) ended: {end!r}")
        total.latencies.sort()
        return total


async def _frame(socket: aiohttp.ClientWebSocketResponse, timeout: float) -> dict[str, Any]:
    received = await socket.receive(timeout=timeout)
    if received.type is not aiohttp.WSMsgType.TEXT:
        raise Broken(received.type)
    return cast("dict[str, Any]", orjson.loads(received.data))


def timestamp_problem(text: str) -> str:
    """Return what is wrong with a timestamp, nothing if it is ISO 8601, in UTC and about now."""
    try:
        time_of = datetime.fromisoformat(text)
    except ValueError:
        return f"{text!r} is not ISO 8601"
    if time_of.utcoffset() != timedelta(0):
        return f"{text!r} is not in UTC"
    age = datetime.now(UTC) - time_of
    return "" if timedelta(minutes=-1) < age < timedelta(days=1) else f"{text!r} is not now"


async def _drive(arguments: argparse.Namespace) -> Report:
    answer_to = None if arguments.any_answer else echoed
    async with Load(arguments.url, arguments.sockets, answer_to=answer_to) as load:
        return await load.run(arguments.messages, arguments.at_once)


def main() -> None:
    """Load a service from a shell; the exit status is 1 if there were problems."""
    parser = argparse.ArgumentParser(description="Talk to Parley with many clients, and check every answer.")
    parser.add_argument("url", help="as http://127.0.0.1:3500")
    parser.add_argument("--sockets", type=int, default=50)
    parser.add_argument("--messages", type=int, default=20, help="of each socket")
    parser.add_argument("--at-once", type=int, default=1, help="messages sent before waiting for answers")
    parser.add_argument("--any-answer", action="store_true", help="the model is not the one of the tests")
    report = asyncio.run(_drive(parser.parse_args()))
    print(report)
    for problem in report.problems[:20]:
        print(" ", problem)
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    main()
