"""Limit the messages of a session that were sent to ``ingest`` and have no frame yet."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from pipeline.chat.records import Frame

#: Seconds without a frame after which a session's messages no longer count, because frames may be lost.
FORGET_SECONDS: Final = 60.0
#: Seconds between sweeps.
SWEEP_SECONDS: Final = 30.0


class InFlight:
    """Limit the messages of each session on their way, so that no session can fill a stage."""

    def __init__(self, limit: int) -> None:
        """Store the maximum messages of a session on their way from this process."""
        self._limit = limit
        self._sessions: dict[str, _Share] = {}
        self._swept = time.monotonic()

    def is_full(self, token: str) -> bool:
        """Return whether a session has reached the limit."""
        share = self._sessions.get(token)
        if share is None or share.total < self._limit:
            return False
        if time.monotonic() - share.changed > FORGET_SECONDS:
            del self._sessions[token]
            return False
        return True

    def sent(self, token: str, message_id: str) -> None:
        """Record that a message goes to ``ingest``."""
        now = time.monotonic()
        if now - self._swept > SWEEP_SECONDS:
            self._sweep(now)
        share = self._sessions.get(token)
        if share is None:
            share = self._sessions[token] = _Share()
        share.ids[message_id] += 1
        share.total += 1
        share.changed = now

    def decided(self, token: str, frame: Frame) -> None:
        """Take a frame of a session, which may accept, refuse or end a message."""
        share = self._sessions.get(token)
        if share is None:
            return
        if frame["type"] == "accepted":
            share.settle(frame["id"], 1)
        elif frame["type"] in ("message", "error"):
            message_id = frame.get("turn") or frame.get("refused") or ""
            share.settle(message_id, share.ids.get(message_id, 0))
        if not share.total:
            del self._sessions[token]

    def _sweep(self, now: float) -> None:
        self._swept = now
        old = [token for token, share in self._sessions.items() if now - share.changed > FORGET_SECONDS]
        for token in old:
            del self._sessions[token]


class _Share:
    """The messages of one session on their way, counted by id."""

    __slots__ = ("changed", "ids", "total")

    def __init__(self) -> None:
        self.ids: Counter[str] = Counter()
        self.total = 0
        self.changed = time.monotonic()

    def settle(self, message_id: str, times: int) -> None:
        count = self.ids.get(message_id, 0)
        times = min(times, count)
        if not times:
            return
        self.total -= times
        self.changed = time.monotonic()
        if times == count:
            del self.ids[message_id]
        else:
            self.ids[message_id] = count - times
