"""Limit the messages of a session that wait for an answer, and the work of refusing more of them.

``ingest`` would refuse the same messages, but only after they have passed the stream that all sessions share.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

from pipeline.chat.records import SESSION_BUSY, SESSION_FULL, Frame

#: Seconds without a frame after which a session's messages no longer count, because frames may be lost.
FORGET_SECONDS: Final = 60.0
#: Seconds between sweeps.
SWEEP_SECONDS: Final = 30.0
#: Messages of a session that ``ingest`` may refuse or recognise as repeats, at once and per second. A client
#: that returns repeats at most its unaccepted messages.
FUTILE_AT_ONCE: Final = 128
FUTILE_PER_SECOND: Final = 32.0
#: Sessions that await an answer from which on the stages are sampled for an overload. Smaller: an almost idle
#: service takes samples. Larger: a model that answers few messages at once has a longer queue.
MANY_ACTIVE: Final = 8


class InFlight:
    """Limit the messages of each session on their way from this process, so that no session fills a stage.

    Attributes:
        active: the sessions with a message without an answer.
        many: set when ``active`` reaches ``MANY_ACTIVE``; the one who waits for it clears it.
    """

    def __init__(self, limit: int) -> None:
        """Store the maximum messages of a session without an answer: those that a session can hold."""
        self._limit = limit
        self._sessions: dict[str, _Share] = {}
        self._swept = time.monotonic()
        self.active = 0
        self.many = asyncio.Event()
        self._of_addresses: Counter[str] = Counter()

    @property
    def addresses(self) -> int:
        """The number of addresses with active sessions."""
        return len(self._of_addresses)

    def of_address(self, address: str) -> int:
        """Return the number of active sessions of an address."""
        return self._of_addresses.get(address, 0)

    def of_session(self, token: str) -> int:
        """Return the number of messages of a session without an answer."""
        share = self._sessions.get(token)
        return 0 if share is None else share.total

    def denial(self, token: str) -> str | None:
        """Return the error code for a further message of a session, None to let it pass."""
        share = self._sessions.get(token)
        if share is None:
            return None
        now = time.monotonic()
        if share.futile(now) >= FUTILE_AT_ONCE:
            return share.code
        if share.total < self._limit:
            return None
        if now - share.changed > FORGET_SECONDS:
            self._forget(token)
            return None
        return SESSION_BUSY

    def sent(self, token: str, message_id: str, address: str = "") -> None:
        """Record that a message from an address goes to ``ingest``."""
        now = time.monotonic()
        if now - self._swept > SWEEP_SECONDS:
            self._sweep(now)
        share = self._sessions.get(token)
        if share is None:
            share = self._sessions[token] = _Share()
        if not share.total:
            self._begin(share, address)
        share.ids[message_id] = share.ids.get(message_id, 0) + 1
        share.total += 1
        share.changed = now

    def decided(self, token: str, frame: Frame) -> None:
        """Take a frame of a session, which may answer, refuse or end a message."""
        share = self._sessions.get(token)
        if share is None:
            return
        if frame["type"] == "accepted":
            if (frame.get("duplicate") or "ending" in frame) and share.settle(frame["id"], 1):
                share.was_futile(SESSION_BUSY)
        elif frame["type"] in ("message", "error"):
            message_id = frame.get("turn") or frame.get("refused") or ""
            if share.settle(message_id, share.ids.get(message_id, 0)) and "refused" in frame:
                share.was_futile(SESSION_FULL if frame["error"] == SESSION_FULL else SESSION_BUSY)
        if not share.total:
            self._end(share)
            if not share.futile(time.monotonic()):
                del self._sessions[token]

    def restart(self, token: str) -> None:
        """Forget the messages of a session that had no socket here, and whose frames went elsewhere."""
        share = self._sessions.get(token)
        if share is not None:
            share.ids.clear()
            share.total = 0
            self._end(share)

    def _sweep(self, now: float) -> None:
        self._swept = now
        old = [token for token, share in self._sessions.items() if now - share.changed > FORGET_SECONDS]
        for token in old:
            self._forget(token)

    def _forget(self, token: str) -> None:
        self._end(self._sessions.pop(token))

    def _begin(self, share: _Share, address: str) -> None:
        self.active += 1
        share.address = address
        self._of_addresses[address] += 1
        if self.active >= MANY_ACTIVE:
            self.many.set()

    def _end(self, share: _Share) -> None:
        if share.address is None:
            return
        self.active -= 1
        self._of_addresses[share.address] -= 1
        if not self._of_addresses[share.address]:
            del self._of_addresses[share.address]
        share.address = None


class _Share:
    """The messages of one session on their way, counted by id.

    Attributes:
        address: the address of its first unanswered message, None without one.
        code: the error code of the last message that ``ingest`` refused.
    """

    __slots__ = ("_futile", "_futile_at", "address", "changed", "code", "ids", "total")

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}  # a Counter takes four times as long to create
        self.total = 0
        self.address: str | None = None
        self.changed = self._futile_at = time.monotonic()
        self.code = SESSION_BUSY
        self._futile = 0.0

    def settle(self, message_id: str, times: int) -> int:
        """Take back messages with an id, as far as they were counted; return their number."""
        count = self.ids.get(message_id, 0)
        times = min(times, count)
        if not times:
            return 0
        self.total -= times
        self.changed = time.monotonic()
        if times == count:
            del self.ids[message_id]
        else:
            self.ids[message_id] = count - times
        return times

    def futile(self, now: float) -> float:
        """Return the number of messages sent in vain that still counts."""
        self._futile = max(0.0, self._futile - (now - self._futile_at) * FUTILE_PER_SECOND)
        self._futile_at = now
        return self._futile

    def was_futile(self, code: str) -> None:
        """Count a message that was refused, or was there already."""
        self._futile = self.futile(time.monotonic()) + 1
        self.code = code
