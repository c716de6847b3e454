"""Stream running answers to the web nodes, and keep their text for sockets that join later.

    partial:{<token>}   string: a line ``<run> <turn>``, then the text so far; deleted when the turn closes

A run is one attempt of one worker to answer a turn. The run number rises with each run, so that web nodes and
Redis drop the frames of a worker that was only presumed dead.

Web nodes receive the model's thoughts as well, but Redis does not keep them: a socket that joins later gets
only the thoughts that follow.

One task sends the new frames of all runs of a worker in one round trip, at most every ``SEND_SECONDS``. So a
single answer is not delayed, and many at once cost few commands: each command costs Redis and the web node
as much as many frames in one. The text is stored at a slower pace than it is sent, because only a socket that
joins or the successor of a dead worker reads it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import Redis

from faust_redis.redis import cancel_and_wait
from pipeline.chat.presence import Batch, Presence, SubscriberNodes, add_command
from pipeline.chat.reading_pace import ReadingPace
from pipeline.chat.records import Frame
from pipeline.chat.results import Gone, Partial, Stale
from pipeline.redis.client import retry_until_available
from pipeline.redis.keys import partial_key, presence_key, session_key
from pipeline.redis.scripts import Code, Script, load_scripts, run_scripts_in_steps

logger = logging.getLogger(__name__)

#: Seconds that a partial answer lives after its last piece: longer than any MODEL_TIMEOUT allows a pause.
PARTIAL_TTL = 3600 + 60
#: Seconds between two commands with frames. Shorter: many answers that stream at once cost more. Longer:
#: their pieces arrive later.
SEND_SECONDS: Final = 0.01
#: Seconds until a piece of a running answer is stored.
STORE_SECONDS: Final = 0.25
#: Characters of a running answer that are stored at once.
STORE_CHARACTERS: Final = 4096

_BEGIN = Script(__package__, "begin_run", keys=3, arguments=("turn", "ttl"))
_APPEND = Script(__package__, "append_partial", keys=2, arguments=("header", "offset", "text", "ttl"))


def parse_partial(raw: bytes) -> Partial | None:
    """Decode a partial answer from Redis; return None for an empty one."""
    if not raw:
        return None
    header, _, text = raw.partition(b"\n")
    run, _, turn = header.decode().partition(" ")
    return Partial(turn, int(run), text.decode(errors="ignore"))


class Run:
    """Collect the frames of one attempt to answer a turn; no method waits.

    Attributes:
        text: the answer so far, in pieces.
        on_stale: called once when another run has begun or the turn is over, because no client waits for
            this run any more.
    """

    def __init__(
        self, token: str, turn: str, number: int, subscribers: SubscriberNodes, wake: Callable[[Run], None]
    ) -> None:
        self.token = token
        self.turn = turn
        self.number = number
        self.text: list[str] = []
        self.on_stale: Callable[[], None] = lambda: None
        self._holders = subscribers
        self._wake = wake
        self._news: list[Frame] = []
        # The pieces of the next token or thought frame, which grows until it is sent.
        self._growing: list[str] = []
        self._growing_type = ""
        self._characters = 0
        self._thought_characters = 0
        self._bytes = 0
        # The frames since the text was last stored, and the characters of them.
        self._unstored: list[Frame] = []
        self._unstored_characters = 0
        self._ended = False
        self._is_sent = False
        self._missed: dict[str, list[Frame]] = {}

    @property
    def pending(self) -> bool:
        """Whether there are frames to send."""
        return bool(self._news or self._growing)

    @property
    def is_unstored(self) -> bool:
        """Whether text or thoughts were sent that Redis has not seen, of an answer that still runs."""
        return bool(self._unstored) and not self._ended

    @property
    def must_store(self) -> bool:
        """Whether there is too much text to wait for the next time of storing."""
        return self._unstored_characters >= STORE_CHARACTERS and not self._ended

    def start(self, regenerates: str) -> None:
        """Add the frame that announces the run."""
        frame: Frame = {"type": "start", "turn": self.turn, "run": self.number}
        if regenerates:
            frame["regenerates"] = regenerates
        self._news.append(frame)
        self._wake(self)

    def say(self, piece: str) -> None:
        """Add a piece of the answer."""
        self.text.append(piece)
        if self._growing_type != "token":
            self._finish_growing("token")
        self._growing.append(piece)
        self._wake(self)

    def think(self, piece: str) -> None:
        """Add a piece of the model's thoughts."""
        if self._growing_type != "thought":
            self._finish_growing("thought")
        self._growing.append(piece)
        self._wake(self)

    def end_thoughts(self, seconds: float) -> None:
        """Add the frame that ends the thoughts so far.

        Args:
            seconds: the time that the model spent on them.
        """
        self._finish_growing("")
        frame: Frame = {
            "type": "thought_end",
            "turn": self.turn,
            "run": self.number,
            "seconds": round(seconds, 1),
        }
        self._news.append(frame)
        self._wake(self)

    def abandon(self) -> None:
        """Drop all frames that were not sent, because another run replaces this one."""
        self._news, self._growing, self._growing_type, self._missed = [], [], "", {}
        self._unstored, self._unstored_characters = [], 0
        self.on_stale = lambda: None

    def end(self) -> None:
        """Stop storing the text, because the outcome of the turn holds it.

        Frames are still sent, unless all of them are new and hold nothing but the answer: web nodes make such
        frames of the complete answer.
        """
        self._ended = True
        if self._is_sent or self._growing_type == "thought":
            return
        if all(frame["type"] in ("start", "token") for frame in self._news):
            self._news, self._growing, self._growing_type = [], [], ""

    def take(self, batches: dict[str, Batch]) -> None:
        """Move the new frames into the batches of the web nodes."""
        self._finish_growing("")
        frames, self._news = self._news, []
        self._is_sent = self._is_sent or bool(frames)
        for frame in frames:
            # Thoughts count as well, although they are not stored: the reply to the command names the
            # subscribed nodes and reveals a newer run.
            if frame["type"] in ("token", "thought"):
                self._unstored.append(frame)
                self._unstored_characters += len(frame["text"])
            elif self._unstored:
                self._unstored.append(frame)
        for node, missed in self._missed.items():
            batches[node] += [(self.token, frame) for frame in missed]
        self._missed = {}
        for node in self._holders.streaming:
            batches[node] += [(self.token, frame) for frame in frames]

    def store(self) -> tuple[tuple[Any, ...], list[Frame]]:
        """Return the command that stores the text since the last call, and the frames since then."""
        frames, self._unstored, self._unstored_characters = self._unstored, [], 0
        raw = "".join(frame["text"] for frame in frames if frame["type"] == "token").encode()
        offset, self._bytes = self._bytes, self._bytes + len(raw)
        command = _APPEND.command(
            [partial_key(self.token), presence_key(self.token)],
            header=f"{self.number} {self.turn}\n",
            offset=offset,
            text=raw,
            ttl=PARTIAL_TTL,
        )
        return command, frames

    def _finish_growing(self, following: str) -> None:
        """Complete the growing token or thought frame; the next piece has the type ``following``."""
        if self._growing:
            text, self._growing = "".join(self._growing), []
            frame: Frame = {"type": "token", "turn": self.turn, "run": self.number, "at": 0, "text": text}
            if self._growing_type == "token":
                frame["at"] = self._characters
                self._characters += len(text)
            else:
                frame["type"], frame["at"] = "thought", self._thought_characters
                self._thought_characters += len(text)
            self._news.append(frame)
        self._growing_type = following

    def stored(self, reply: Any, frames: list[Frame]) -> None:
        """Take the reply of Redis, which lists the subscribed nodes; queue the new frames for the new ones.

        A node that subscribes later finds the text in Redis, because the script stores it before it reads
        the list of nodes. A new one may have read the text as it was when it was stored before.

        Args:
            frames: those that ``store`` returned with the command.
        """
        if Code(reply[0]) is Code.STALE:
            self.on_stale()
            return
        known, self._holders = set(self._holders.streaming), SubscriberNodes.of(reply[1])
        self._missed = {node: frames for node in self._holders.streaming if node not in known}
        if self._missed:
            self._wake(self)


class Runs:
    """Send the frames of all running answers of one worker.

    Attributes:
        pace: the pace at which the answers are read from the model.
    """

    def __init__(self, redis: Redis, presence: Presence) -> None:
        """Take the connection."""
        self.pace = ReadingPace()
        self._redis = redis
        self._presence = presence
        self._dirty: dict[Run, None] = {}
        self._unstored: dict[Run, None] = {}
        self._is_time_to_store = False
        self._store_timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the sending task unless it runs; without this, the first run starts it and waits longer."""
        if self._task is None:
            self._task = asyncio.create_task(self._send(), name="runs")

    async def begin(self, token: str, turn: str) -> Run | str | Stale | Gone:
        """Begin a run of a turn, and announce it to the web nodes; waits while Redis is unavailable.

        Returns:
            The run; the text so far if the user has stopped the turn; ``Stale`` if the turn is over;
            ``Gone`` if the session has expired.
        """
        keys = [session_key(token), partial_key(token), presence_key(token)]
        reply = await retry_until_available(lambda: _BEGIN(self._redis, keys, turn=turn, ttl=PARTIAL_TTL))
        match Code(reply[0]):
            case Code.STARTED:
                run = Run(token, turn, int(reply[2]), SubscriberNodes.of(reply[1]), self._changed)
                run.start(reply[3].decode())
                return run
            case Code.STOPPED:
                partial = parse_partial(reply[1])
                return "" if partial is None else partial.text
            case Code.STALE:
                return Stale()
            case Code.GONE:
                return Gone(SubscriberNodes.of(reply[1]))
            case other:
                raise AssertionError(f"begin_run replied {other!r}")

    async def stop(self) -> None:
        """Stop the sending task; clients get the unsent text with the complete answers."""
        if self._store_timer is not None:
            self._store_timer.cancel()
            self._store_timer = None
        if self._task is not None:
            await cancel_and_wait([self._task])
            self._task = None

    def _changed(self, run: Run) -> None:
        self._dirty[run] = None
        self.start()
        self._wake.set()

    async def _send(self) -> None:
        # Loaded first, because a missing script would repeat the round trip and send its frames twice.
        await retry_until_available(lambda: load_scripts(self._redis, (_BEGIN, _APPEND)))
        loop = asyncio.get_running_loop()
        sent_at = -SEND_SECONDS
        while True:
            await self._wake.wait()
            if (wait := sent_at + SEND_SECONDS - loop.time()) > 0:
                await asyncio.sleep(wait)
            sent_at = loop.time()
            self._wake.clear()
            try:
                await self._send_once()
            except Exception:
                # Sockets lack the text of this round until the complete answer arrives.
                logger.exception("sending tokens failed; clients get the text with the complete answer")

    async def _send_once(self) -> None:
        runs, self._dirty = list(self._dirty), {}
        batches: defaultdict[str, Batch] = defaultdict(list)
        for run in runs:
            run.take(batches)
            if run.is_unstored:
                self._unstored[run] = None
        kept = self._runs_to_store()
        stores = [run.store() for run in kept]
        nodes = list(batches)
        additions = [add_command(node, batches[node]) for node in nodes]
        if not stores and not additions:
            return
        commands = [command for command, _ in stores]
        # In steps, because a socket that joins reads the stored text and then only the frames that follow.
        replies, added = await retry_until_available(
            lambda: run_scripts_in_steps(self._redis, (commands, additions), (_APPEND,))
        )
        for run, (_, frames), reply in zip(kept, stores, replies, strict=True):
            run.stored(reply, frames)
        written = zip(nodes, added, strict=True)
        lost = {node: batches[node] for node, entry in written if entry is None}
        if lost:
            await self._presence.forget(lost)

    def _runs_to_store(self) -> list[Run]:
        """Return the runs whose text is stored now, and set a timer if others wait."""
        if self._is_time_to_store:
            self._is_time_to_store = False
            kept = [run for run in self._unstored if run.is_unstored]
            self._unstored = {}
            return kept
        kept = [run for run in self._unstored if run.must_store]
        for run in kept:
            del self._unstored[run]
        if self._unstored and self._store_timer is None:
            self._store_timer = asyncio.get_running_loop().call_later(STORE_SECONDS, self._store_soon)
        return kept

    def _store_soon(self) -> None:
        self._store_timer = None
        self._is_time_to_store = True
        self._wake.set()
