"""Clients of ``parley.v1`` that lose their sockets again and again, and check the frames that they receive.

Each talks in a session of its own: it asks, stops and regenerates, and its connection breaks at random
moments. It comes back with `after`, and sends again what it has not seen accepted. The service must keep its
word: every turn ends exactly once, in the order asked; nothing comes twice, nothing is missing; tokens add up
to the answer.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.chat_client import ChatClient, StreamSocket

# Seconds that a turn may take, with all that goes wrong meanwhile.
TURN_SECONDS = 90.0
# Seconds between tries to connect while the web process is away.
_RETRY_SECONDS = 0.05


@dataclass
class Tally:
    """The results of all talkers together."""

    cuts: int = 0
    turns: int = 0
    stopped: int = 0
    regenerated: int = 0
    restarted: int = 0
    joined: int = 0
    errors: list[str] = field(default_factory=list)


class Cut(Exception):
    """The socket is gone, by our own hand or by a fault."""


class Talker:
    """One session and a socket that comes and goes."""

    def __init__(self, client: ChatClient, seed: int, tally: Tally) -> None:
        self._client = client
        self._random = random.Random(seed)
        self._tally = tally
        self._token = ""
        self._cuts = 0
        self._socket: StreamSocket | None = None
        self._last = ""  # id of the last message known to the session that we know of
        self._asked: list[dict[str, Any]] = []  # frames whose turn has not ended, oldest first
        self._accepted: set[str] = set()
        self._ended: dict[str, dict[str, Any]] = {}
        self._texts: list[str] = []

    async def talk(self, cuts: int) -> None:
        """Talk until the connection was cut so often, then check the history."""
        self._token = await self._client.token()
        while self._cuts < cuts:
            await self._exchange()
        await self._check_history()
        if self._socket is not None:
            await self._socket.close()

    async def _exchange(self) -> None:
        """Ask one thing or several, and wait until all have ended."""
        for _ in range(self._random.choice((1, 1, 3))):
            self._asked.append(self._question())
        unsent = list(self._asked)
        async with asyncio.timeout(TURN_SECONDS):
            while self._asked:
                try:
                    socket = await self._connected()
                    if not unsent:
                        unsent = [frame for frame in self._asked if frame["id"] not in self._accepted]
                    for frame in unsent:
                        await socket.put(**frame)
                    unsent = []
                    await self._listen(socket)
                except (Cut, ConnectionError, aiohttp.ClientError, AssertionError) as exc:
                    if isinstance(exc, AssertionError) and not (socket.socket.closed or "CLOS" in str(exc)):
                        raise
                    await self._drop()

    def _question(self) -> dict[str, Any]:
        if self._ended and self._random.random() < 0.2:
            self._tally.regenerated += 1
            return {"type": "regenerate", "id": str(uuid.uuid4())}
        self._texts.append(f"{len(self._texts)}: " + " ".join(["word"] * self._random.randrange(1, 20)))
        return {"type": "message", "id": str(uuid.uuid4()), "text": self._texts[-1]}

    async def _connected(self) -> StreamSocket:
        while self._socket is None:
            try:
                query = {"after": self._last} if self._last else {}
                self._socket = await self._client.stream(self._token, **query)
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(_RETRY_SECONDS)
        return self._socket

    async def _drop(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            if not socket.socket.closed:
                socket.vanish()
            await socket.close()  # or its connection would count as open forever

    async def _listen(self, socket: StreamSocket) -> None:
        """Read until all that was asked has ended, or a number of frames has come: then cut."""
        fuse = self._random.randrange(1, 25)
        stop_at = self._random.randrange(1, 120)
        seen = 0
        while self._asked:
            frame = await socket.frame(TURN_SECONDS)
            self._take(frame, socket)
            seen += 1
            if seen == stop_at and self._asked:
                await socket.put(type="stop", turn=self._asked[0]["id"])
            if seen >= fuse:
                self._cuts += 1
                self._tally.cuts += 1
                raise Cut

    def _take(self, frame: dict[str, Any], socket: StreamSocket) -> None:
        turn = frame.get("turn", frame.get("id", ""))
        match frame["type"]:
            case "accepted":
                assert turn in self._ended or turn in {asked["id"] for asked in self._asked}, frame
                self._accepted.add(turn)
                if not self._last:
                    self._last = turn
            case "start":
                assert turn not in self._ended, f"{turn} begins after its end"
                starts = [each for each in socket.frames if each["type"] == "start" and each["turn"] == turn]
                self._tally.restarted += len(starts) > 1
                self._tally.joined += socket.frames[0] is frame
            case "message":
                self._end(frame, turn)
                self._last = frame["id"]
                self._tally.stopped += frame.get("stopped", False)
            case "error":
                self._tally.errors.append(f"{frame['code']}: {frame['detail']}")
                self._end(frame, turn)

    def _end(self, frame: dict[str, Any], turn: str) -> None:
        assert turn not in self._ended, f"{turn} ended twice: {self._ended[turn]}, {frame}"
        assert turn == self._asked[0]["id"], f"out of order: {frame}, {self._asked}"
        self._ended[turn] = frame
        asked = self._asked.pop(0)
        self._tally.turns += 1
        if asked["type"] == "message" and frame["type"] == "message" and not frame.get("stopped"):
            assert frame["msg"] == f"You said: {asked['text']}", (frame, asked)

    async def _check_history(self) -> None:
        messages = (await self._client.session(self._token))["messages"]
        humans = [message["msg"] for message in messages if message["msg"].startswith("Human: ")]
        assert humans == [f"Human: {text}" for text in self._texts]
        told = {frame["id"]: frame["msg"] for frame in self._ended.values() if frame["type"] == "message"}
        kept = {
            answer["id"]: answer["msg"].removeprefix("Bot: ")
            for message in messages
            for answer in (*message.get("alternatives", []), message)
            if answer["msg"].startswith("Bot: ")
        }
        assert kept == told


async def talk(url: str, talkers: int, cuts: int, seed: int, tally: Tally) -> None:
    """Have some clients talk until each was cut so often.

    Args:
        tally: is told what they went through, as it happens.

    Raises:
        AssertionError: the service broke its word, within an ExceptionGroup.
    """
    async with ChatClient(url) as client, asyncio.TaskGroup() as group:
        for number in range(talkers):
            group.create_task(Talker(client, seed + number, tally).talk(cuts))
