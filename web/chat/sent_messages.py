"""Remember the messages of this process, so that it can send again what Redis has lost; no I/O.

A message is remembered until its end is so old that Redis can't lose it any more. Each message names the one
before it in its session, whichever process sent that one. A session accepts it only after that one, and a
lost message returns to its place behind that one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from pipeline.chat.records import Frame, answer_id
from pipeline.chat.results import Document
from web.chat.protocol import ClientMessage

#: Seconds for which an answered message is remembered. A Redis that is killed loses what it has not written
#: yet: with ``appendfsync everysec`` the last 2 s. One whose machine dies loses what its disk had not
#: confirmed: with an fsync that takes 5 s, the last 11 s.
KEPT_SECONDS: Final = 30.0
#: Bytes of remembered texts and answers. Above it a new message is not remembered, so its client has to send
#: it again, and an answer is not remembered, so a lost one is generated again.
TEXT_BYTES: Final = 32 * 1024 * 1024
#: Seconds until the state of an unanswered message is checked; each check doubles them, up to the limit. A
#: service that is only behind must not get much more to do.
FIRST_CHECK_SECONDS: Final = 30.0
LAST_CHECK_SECONDS: Final = 240.0
#: The same after an outage, when turns may be lost that no process remembers.
CHECK_AFTER_OUTAGE_SECONDS: Final = 10.0

#: Seconds until a message that was sent again twice may be sent once more; each time doubles them, up to the
#: limit. It may only be on its way, behind many others, and every copy of it makes that way longer.
FIRST_RESEND_SECONDS: Final = 2.0
LAST_RESEND_SECONDS: Final = 60.0

#: The number of new sessions to remember; a flood of more is not worth the memory.
NEW_SESSIONS: Final = 10_000

# What a message takes besides its text.
_OVERHEAD_BYTES = 500


@dataclass(slots=True)
class SentMessage:
    """A message that was sent, or a turn that is only watched.

    Attributes:
        message: the message with the one that it follows, None for a turn of which only the id is known.
        bytes: its share of ``TEXT_BYTES``.
        accepted: whether the session is known to have had it.
        ended: whether its answer or error has come.
        end: the frame with its answer or error, None if it is not remembered.
        arrived: whether that frame has reached a client.
        check_at: the time of the next check.
        interval: seconds between the last check and the next one.
        idle_since: the time of the first check that found its turn open in this run, None before.
        run: the run at that check, 0 if none had begun.
        misses: how often the session has refused it, because it lacked one of another process before it.
        resend_at: the time from which it may be sent again, and the seconds until the next time after that.
    """

    id: str
    message: ClientMessage | None
    bytes: int
    check_at: float
    interval: float = FIRST_CHECK_SECONDS
    accepted: bool = False
    ended: bool = False
    end: Frame | None = None
    arrived: bool = False
    idle_since: float | None = None
    run: int = 0
    misses: int = 0
    resend_at: float = 0.0
    resend_interval: float = 0.0


def _last_of(session: Mapping[str, SentMessage], after: str) -> str:
    """Return the last message of a session: the last remembered one, or a later one of another process.

    Args:
        after: the last message or answer of the history, empty for none.
    """
    messages = [each.message for each in session.values() if each.message is not None]
    if not messages:
        return after
    if any(not (each.accepted or each.ended) for each in session.values()):
        return messages[-1].id
    known = {name for each in messages for name in (each.id, each.follows or "")}
    is_known = after in known or after in {answer_id(name) for name in known}
    return messages[-1].id if is_known else after


class SentMessages:
    """The messages that this process has sent, by session, in the order sent."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Store the clock, which returns seconds."""
        self._clock = clock
        self._sessions: dict[str, dict[str, SentMessage]] = {}
        self._last: dict[str, str] = {}  # session with a socket here → the last message, or its answer
        self._joining: dict[str, list[list[str]]] = {}  # session → accepted during each read of it
        self._ended: deque[tuple[float, str, str]] = deque()
        self._by_end: dict[tuple[str, str], SentMessage] = {}  # session and id of its answer or error
        self._new: dict[str, tuple[float, Document]] = {}
        self._bytes = 0

    def created(self, session: Document) -> None:
        """Remember a new session for ``KEPT_SECONDS``."""
        self._new[session["token"]] = self._clock(), session
        if len(self._new) > NEW_SESSIONS:
            del self._new[next(iter(self._new))]

    def new_session(self, token: str) -> Document | None:
        """Return a session if it was created lately, else None."""
        return self._new[token][1] if token in self._new else None

    def new_sessions(self) -> list[Document]:
        """Return the sessions that were created lately."""
        return [session for _, session in self._new.values()]

    def add(self, token: str, message: ClientMessage, after: str | None = None) -> ClientMessage:
        """Remember a message that is about to be sent; return it with the message that it follows.

        Args:
            after: the message or answer that the client has last, used until the session has been read.
        """
        session = self._sessions.get(token, {})
        known = session.get(message.id)
        if known is not None and known.message is not None:
            return replace(message, follows=known.message.follows)
        before = self._last.get(token, after)
        follows = None if before == message.id else before
        linked = message if message.follows == follows else message.behind(follows)
        if self._remember(token, linked):
            self._last[token] = message.id
        return linked

    @contextmanager
    def joining(self, token: str) -> Iterator[list[str]]:
        """Yield a list that gets the messages of other processes that a session accepts in the block.

        The state that is read there, for ``attached``, may be older or newer than their frames.
        """
        meanwhile: list[str] = []
        # A socket that leaves and comes back has its session read twice at a time.
        readings = self._joining.setdefault(token, [])
        readings.append(meanwhile)
        try:
            yield meanwhile
        finally:
            readings[:] = [each for each in readings if each is not meanwhile]
            if not readings:
                del self._joining[token]

    def attached(
        self, token: str, after: str, unfinished: Sequence[ClientMessage], meanwhile: Sequence[str] = ()
    ) -> None:
        """Take the state of a session, read for a socket, which may have messages of other processes.

        Args:
            after: the last message or answer of the history before ``unfinished``, empty for none.
            unfinished: the message of the open turn and the waiting ones, oldest first.
            meanwhile: the messages of other processes that were accepted during the read, see ``joining``.
        """
        session = self._sessions.get(token, {})
        if not session:
            self._last[token] = after
        else:
            if token not in self._last:  # its earlier socket here has left
                self._last[token] = _last_of(session, after)
            if not after:
                for each in session.values():
                    if each.message is not None and each.message.follows is None:
                        each.message = replace(each.message, follows=after)
        for message in unfinished:
            known = self._sessions.get(token, {}).get(message.id)
            if (known is None or known.message is None) and self._remember(
                token, replace(message, follows=after)
            ):
                adopted = self._sessions[token][message.id]
                adopted.accepted, adopted.idle_since = True, self._clock()
                self._comes_last(token, message.id)
            after = message.id
        older = [at for at, each in enumerate(meanwhile, 1) if after in (each, answer_id(each))]
        for message_id in meanwhile[older[-1] if older else 0 :]:
            self._comes_last(token, message_id)

    def left(self, token: str) -> None:
        """Note that a session has no socket here any more, so its later messages are not seen."""
        self._last.pop(token, None)

    def _comes_last(self, token: str, message_id: str) -> None:
        """Note the message that a session has accepted last; those on their way from here come later."""
        last = self._sessions.get(token, {}).get(self._last.get(token, ""))
        if last is None or last.message is None or last.accepted or last.ended:
            self._last[token] = message_id

    def _remember(self, token: str, message: ClientMessage) -> bool:
        size = len(message.text) + _OVERHEAD_BYTES
        if self._bytes + size > TEXT_BYTES:
            return False
        self.drop(token, message.id)  # a turn that was only watched
        self._bytes += size
        due = self._clock() + FIRST_CHECK_SECONDS
        self._sessions.setdefault(token, {})[message.id] = SentMessage(message.id, message, size, due)
        return True

    def watch(self, token: str, turn: str) -> None:
        """Check an open turn later, whichever process began it."""
        session = self._sessions.setdefault(token, {})
        if turn not in session:
            now = self._clock()
            session[turn] = SentMessage(turn, None, 0, now + FIRST_CHECK_SECONDS, idle_since=now)

    def decided(self, token: str, frame: Frame) -> Frame | None:
        """Take a frame of a session, which may end a message.

        Returns:
            The answer that came before, when this one is another answer to the same message.
        """
        if frame["type"] == "accepted" and "ending" not in frame:
            self._accepted(token, frame)
        session = self._sessions.get(token)
        if session is None:
            return None
        ending = frame.get("ending") if frame["type"] == "accepted" else frame
        if ending is None:
            if "ending" in frame:  # it has ended with an error that the session no longer holds
                self.drop(token, frame["id"])
        elif "refused" in ending:
            self.drop(token, ending["refused"])
        elif ending["type"] in ("message", "error"):
            known = session.get(ending["turn"])
            before = None if known is None else known.end
            if before is not None and before["timestamp"] != ending["timestamp"]:
                return before if before["type"] == ending["type"] == "message" else None
            self.end(token, ending["turn"], ending)
        return None

    def _accepted(self, token: str, frame: Frame) -> None:
        sent = self._sessions.get(token, {}).get(frame["id"])
        if sent is not None:
            sent.accepted = True
        elif "duplicate" not in frame:
            for meanwhile in self._joining.get(token, ()):
                meanwhile.append(frame["id"])
            if token in self._last:
                self._comes_last(token, frame["id"])

    def accepted(self, token: str, ids: Iterable[str]) -> None:
        """Note that a session has accepted messages, whose frames may have been lost."""
        session = self._sessions.get(token, {})
        for message_id in ids:
            if message_id in session:
                session[message_id].accepted = True

    def as_seen(self, token: str, frame: Frame) -> Frame:
        """Return the answer that came before to the same message, if this frame is one; else the frame."""
        sent = self._sessions.get(token, {}).get(frame.get("turn", ""))
        if sent is None or sent.end is None or not sent.end["type"] == frame["type"] == "message":
            return frame
        return sent.end

    def end(self, token: str, message_id: str, frame: Frame | None = None) -> None:
        """Note that a message has ended; it is forgotten after ``KEPT_SECONDS``.

        Args:
            frame: its answer or error, None if that is not known here.
        """
        sent = self._sessions.get(token, {}).get(message_id)
        if sent is None or sent.ended:
            return
        sent.ended = sent.accepted = True
        self._ended.append((self._clock(), token, message_id))
        if frame is not None and self._bytes + len(frame["msg"]) <= TEXT_BYTES:
            sent.end = frame
            self._by_end[token, frame["id"]] = sent
            sent.bytes += len(frame["msg"])
            self._bytes += len(frame["msg"])

    def arrived(self, token: str, frame_ids: Iterable[str]) -> None:
        """Note that answers or errors have reached a client of a session."""
        for frame_id in frame_ids:
            if (sent := self._by_end.get((token, frame_id))) is not None:
                sent.arrived = True

    def has_arrived(self, token: str, frame_id: str) -> bool:
        """Return whether a remembered answer or error has reached a client of a session."""
        sent = self._by_end.get((token, frame_id))
        return sent is not None and sent.arrived

    def knows(self, token: str, name: str) -> bool:
        """Return whether a name is that of a remembered message of a session, or of its answer or error."""
        return name in self._sessions.get(token, {}) or (token, name) in self._by_end

    def drop(self, token: str, message_id: str) -> None:
        """Forget a message, because it was not accepted or Redis can't lose it any more."""
        session = self._sessions.get(token, {})
        sent = session.pop(message_id, None)
        if sent is not None:
            self._let_go(token, sent)
            if not sent.ended and self._last.get(token) == message_id:
                del self._last[token]
                if sent.message is not None and sent.message.follows is not None:
                    self._last[token] = sent.message.follows
            if not session:
                del self._sessions[token]

    def forget(self, token: str) -> list[str]:
        """Forget a session; return the ids of its unanswered messages."""
        self._new.pop(token, None)
        self._last.pop(token, None)
        session = self._sessions.pop(token, {})
        for sent in session.values():
            self._let_go(token, sent)
        return [sent.id for sent in session.values() if sent.message is not None and not sent.ended]

    def _let_go(self, token: str, sent: SentMessage) -> None:
        self._bytes -= sent.bytes
        if sent.end is not None:
            self._by_end.pop((token, sent.end["id"]), None)

    def of(self, token: str) -> list[SentMessage]:
        """Return the messages of a session, in the order sent."""
        return list(self._sessions.get(token, {}).values())

    def missed(self, token: str, message_id: str, most: int) -> None:
        """Note that a session has refused a message, because it lacks the one that this one follows.

        A message of this process stays behind the one before it, which is sent again as well.

        Args:
            most: the number of times after which the message no longer follows one of another process.
        """
        session = self._sessions.get(token, {})
        sent = session.get(message_id)
        if sent is not None and sent.message is not None and sent.message.follows not in session:
            sent.misses += 1
            if sent.misses >= most:
                sent.message = replace(sent.message, follows=None)

    def remembers(self, token: str, message_id: str) -> bool:
        """Return whether a message of a session is remembered, so that it can be sent again."""
        sent = self._sessions.get(token, {}).get(message_id)
        return sent is not None and sent.message is not None

    def awaits(self, token: str, message_id: str) -> bool:
        """Return whether a message of a session is remembered and has not ended."""
        sent = self._sessions.get(token, {}).get(message_id)
        return sent is not None and sent.message is not None and not sent.ended

    def holds(self, token: str, sent: SentMessage) -> bool:
        """Return whether a message has not been forgotten."""
        return self._sessions.get(token, {}).get(sent.id) is sent

    def may_resend(self, sent: SentMessage) -> bool:
        """Return whether a message may be sent again, and note that it is."""
        now = self._clock()
        if now < sent.resend_at:
            return False
        sent.resend_at = now + sent.resend_interval
        sent.resend_interval = min(LAST_RESEND_SECONDS, max(FIRST_RESEND_SECONDS, sent.resend_interval * 2))
        return True

    def may_be_lost(self) -> None:
        """Note that Redis may have lost all messages, so that each may be sent again."""
        for session in self._sessions.values():
            for sent in session.values():
                sent.resend_at = sent.resend_interval = 0.0

    def tokens(self) -> list[str]:
        """Return the sessions of all messages."""
        return list(self._sessions)

    def overdue(self) -> Iterator[str]:
        """Yield the sessions with an unanswered message whose state should be checked."""
        now = self._clock()
        for token, session in self._sessions.items():
            if any(not sent.ended and sent.check_at <= now for sent in session.values()):
                yield token

    def prune(self) -> None:
        """Forget the answers and sessions that Redis can't lose any more; only while it is available."""
        oldest = self._clock() - KEPT_SECONDS
        while self._ended and self._ended[0][0] < oldest:
            _, token, message_id = self._ended.popleft()
            self.drop(token, message_id)
        for token in [token for token, (created, _) in self._new.items() if created < oldest]:
            del self._new[token]
