"""Define the results of operations on a session: values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NotRequired, TypedDict

from pipeline.chat.presence import SubscriberNodes
from pipeline.chat.records import Frame, TokenUsage


class HistoryMessage(TypedDict):
    """One message of the history; ``msg`` includes its prefix, ``timestamp`` is ISO 8601 in UTC.

    Attributes:
        stopped, incomplete, shortened, usage: as in the frame ``message``.
        turn: for an answer that replaced another: the id of the request that asked for it.
        alternatives: the answers that this answer replaced, oldest first.
        branches: the messages that this edit replaced, oldest first; each is a list of a human message and
            its answer, if it had one.
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
    """The part of a session that clients see."""

    token: str
    messages: list[HistoryMessage]
    name: str
    session_start: str


@dataclass(frozen=True)
class Page:
    """One page of a session's history.

    Attributes:
        document: the session with only the messages of this page.
        earlier: the number of messages before this page.
    """

    document: Document
    earlier: int


@dataclass(frozen=True)
class Opened:
    """The message has opened its turn, now or when the same stream entry was handled before."""

    turn: str
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Queued:
    """The message waits for its turn; ``place`` is 1 for the next one."""

    place: int
    duplicate: bool = False
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class TurnRunning:
    """The message was accepted with another stream entry, and its turn is open."""

    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Ended:
    """The message was accepted before, and its turn is over.

    Attributes:
        frame: the frame that ended the turn; None for an error that the session no longer keeps.
        duplicate: whether a second stream entry brought the same message.
    """

    frame: Frame | None
    duplicate: bool
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Missing:
    """The message was not accepted, because the session lacks the message that it follows."""

    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Refused:
    """The message was refused, now or before; ``frame`` holds the reason."""

    frame: Frame
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Closed:
    """The turn was closed, now or when the same entry was handled before; ``next_turn`` was opened next."""

    frame: Frame
    next_turn: str | None
    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Stale:
    """The turn is not open: another entry closed it, or it was never opened."""

    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


@dataclass(frozen=True)
class Gone:
    """The session has expired or never existed."""

    subscribers: SubscriberNodes = field(default_factory=SubscriberNodes, compare=False)


Accepted = Opened | Queued | TurnRunning | Ended | Refused | Gone | Missing
"""The result of accepting a message."""


@dataclass(frozen=True)
class Stopped:
    """The turn is marked as stopped.

    Attributes:
        running: whether a worker has begun to answer it.
    """

    turn: str
    running: bool


@dataclass(frozen=True)
class Context:
    """The part of a session that the model gets.

    Attributes:
        messages: the ``msg`` of the last messages, oldest first.
        stopped: whether the turn was stopped before it reached the model.
    """

    messages: list[str]
    stopped: bool = False


@dataclass(frozen=True)
class Partial:
    """The text of a running answer so far; ``regenerates`` is the id of the answer that it replaces."""

    turn: str
    run: int
    text: str
    regenerates: str | None = None


@dataclass(frozen=True)
class SessionSnapshot:
    """The state of a session at one moment, for a socket that connects.

    Attributes:
        unsent: the frames that no socket has taken yet, oldest first.
        finished: the frames that ended turns since the moment asked for, oldest first; None if the caller
            named no moment.
        earlier: the ids of frames in ``unsent`` that the client already has.
        resumed: whether ``finished`` is complete. If not, the message asked for was not found or too much
            has ended since, and ``finished`` holds the latest frames.
        partial: the running answer, None when there is none.
        time: the latest timestamp of the session; frames to come have later ones.
        open_turn: the id of the open turn, None when no turn is open.
        waiting: the ids of the messages in the inbox, the next one first.
    """

    unsent: list[Frame]
    finished: list[Frame] | None = None
    earlier: frozenset[str] = frozenset()
    resumed: bool = True
    partial: Partial | None = None
    time: str = ""
    open_turn: str | None = None
    waiting: tuple[str, ...] = ()

    @property
    def accepted(self) -> list[str]:
        """The ids of the accepted messages that have not ended; the index of each is its ``position``."""
        return [*((self.open_turn,) if self.open_turn is not None else ()), *self.waiting]


class Place(Enum):
    """Where a session holds a message."""

    UNKNOWN = "it never had the message, or has lost it"
    WAITING = "the message waits for its turn"
    OPEN = "its turn is open"
    OVER = "its turn has ended, or the message was refused"


@dataclass(frozen=True)
class Whereabouts:
    """The state of some messages of a session.

    Attributes:
        places: the place of each message, by id.
        open_turn: the id of the open turn, None when no turn is open.
        run: the number of the run that answers the open turn, 0 when none has begun.
    """

    places: Mapping[str, Place]
    open_turn: str | None = None
    run: int = 0


class Revival(Enum):
    """How a message that ended with an error can be tried again."""

    OPEN = "its turn is open"
    FORGOTTEN = "its refusal was removed, so it can be sent again"
    UNANSWERED = "it is the last message of the history, without an answer"
    PAST = "the session has later messages, or has expired"
