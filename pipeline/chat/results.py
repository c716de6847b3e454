"""What the operations on a session find or did: values without any behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from pipeline.chat.presence import SubscriberNodes
from pipeline.chat.records import Frame, TokenUsage


class HistoryMessage(TypedDict):
    """One message of the history; `msg` carries its prefix, `timestamp` is ISO 8601 in UTC.

    Attributes:
        stopped, incomplete, shortened, usage: as in the frame `message`.
        turn: of an answer that replaced another: the request that asked for it.
        alternatives: the answers that it replaced, oldest first.
        branches: of a human message that is an edit: what it replaced, oldest first; each a human message,
            then its answer if it had one.
    """

    id: str
    msg: str
    timestamp: str
    stopped: NotRequired[bool]
    incomplete: NotRequired[str]
    shortened: NotRequired[bool]
    usage: NotRequired[TokenUsage]
    turn: NotRequired[str]
    alternatives: NotRequired[list[HistoryMessage]]
    branches: NotRequired[list[list[HistoryMessage]]]


class Document(TypedDict):
    """A session as clients see it."""

    token: str
    messages: list[HistoryMessage]
    name: str
    session_start: str


@dataclass(frozen=True)
class Page:
    """A part of a session's history.

    Attributes:
        document: the session, with the messages of this page alone.
        earlier: how many messages of the history come before them.
    """

    document: Document
    earlier: int


@dataclass(frozen=True)
class Opened:
    """The message has its turn now, or had got it from this very entry."""

    turn: str
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Queued:
    """The message waits for its turn; `place` is 1 for the next one."""

    place: int
    duplicate: bool = False
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class TurnRunning:
    """The message was accepted before, and its turn is open; whoever accepted it sees to it."""

    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Ended:
    """The message was accepted before, and its turn is over.

    Attributes:
        frame: what ended it; None for an error that was too long ago.
        duplicate: another entry than the first brought the message.
    """

    frame: Frame | None
    duplicate: bool
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Refused:
    """The message was not accepted, now or before; the frame says why."""

    frame: Frame
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Closed:
    """The turn is closed, now or by this very entry before; `next_turn` is the one opened in its place."""

    frame: Frame
    next_turn: str | None
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Stale:
    """The turn is not open: it was closed by another entry, or never opened."""

    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Gone:
    """The session expired or never existed."""

    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Stopped:
    """The turn is marked as stopped.

    Attributes:
        running: a worker has begun to answer it.
    """

    turn: str
    running: bool


@dataclass(frozen=True)
class Context:
    """What the model gets to see of a session.

    Attributes:
        messages: the `msg` of the last messages, oldest first.
        stopped: the turn was stopped before it came to the model.
    """

    messages: list[str]
    stopped: bool = False


@dataclass(frozen=True)
class Partial:
    """What there is of a running answer; `regenerates` the answer with that id, if any."""

    turn: str
    run: int
    text: str
    regenerates: str | None = None


@dataclass(frozen=True)
class SessionSnapshot:
    """A session as of one moment, for a socket that comes to it.

    Attributes:
        unsent: the frames that no socket has taken yet, oldest first.
        finished: what ended since the moment asked for, oldest first; None if none was asked for.
        earlier: the ids of frames in `unsent` that the client said to have.
        resumed: whether `finished` is all that ended since the message asked for. If not, that was not found,
            or more ended than one look brings, and `finished` holds the latest.
        partial: the running answer, if there is any.
        time: of the moment, by the clock of the server.
    """

    unsent: list[Frame]
    finished: list[Frame] | None = None
    earlier: frozenset[str] = frozenset()
    resumed: bool = True
    partial: Partial | None = None
    time: str = ""
