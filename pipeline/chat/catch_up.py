"""Compute the frames that a reconnecting client has missed: pure functions over a session's data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.chat.records import BOT, HUMAN, Frame
from pipeline.chat.results import HistoryMessage, SessionSnapshot

#: Characters of answers that a reconnecting socket gets at once. With more, a few dozen sockets of a long
#: session would fill the web process; a client that lacks more reads the history.
CATCH_UP_CHARACTERS: Final = 1024 * 1024


@dataclass(frozen=True)
class Recent:
    """The data of a session that a catch-up reads.

    Attributes:
        messages: the history, or its last part.
        errors: the error frames that ended turns or refused messages.
        unsent: the frames that no socket has taken yet.
        waiting: the messages in the inbox.
        open_turn: the id of the open turn, None when no turn is open.
        whole: whether ``messages`` is the complete history.
    """

    messages: Sequence[HistoryMessage]
    errors: Sequence[Frame]
    unsent: Sequence[Frame]
    waiting: Sequence[HistoryMessage]
    open_turn: str | None
    whole: bool

    def reaches(self, point: str) -> bool:
        """Return whether ``messages`` holds every answer since ``point``, a timestamp."""
        # Only times of answers show that: a message that waited is older than the answer before it.
        answers = (each["timestamp"] for each in self.messages if not each["msg"].startswith(HUMAN))
        return self.whole or any(at <= point for at in answers)


def resume(session: Recent, after: str) -> SessionSnapshot | None:
    """Return the frames that ended turns since a message; None when ``session`` does not reach back to it.

    "Since" compares timestamps: a message may wait while others are answered, and a client that has seen
    only its acceptance lacks those answers.

    Args:
        after: the id of a message, an answer (also a replaced one) or a request to regenerate.
    """
    frames = _answers(session.messages)
    point = _time_of(after, session)
    if point is None and after == session.open_turn:  # the turn of a request to regenerate
        point = max((frame["timestamp"] for frame in (*frames, *session.errors)), default="")
    if point is None:
        return resume_lost(session) if session.whole else None
    if not session.reaches(point):
        return None
    finished = _since(point, frames, session.errors, session.unsent)
    if len(latest := _latest_within(finished)) < len(finished):
        return SessionSnapshot(list(session.unsent), latest, resumed=False)
    later = {frame["id"] for frame in finished}
    earlier = frozenset(frame["id"] for frame in session.unsent if frame["id"] not in later)
    return SessionSnapshot(list(session.unsent), finished, earlier)


def resume_lost(session: Recent) -> SessionSnapshot:
    """Return the latest answers and errors, for a client whose last message the session does not hold."""
    ended = _in_order(_answers(session.messages), session.unsent)
    return SessionSnapshot(list(session.unsent), _latest_within(ended), resumed=False)


def resume_since(session: Recent, point: str) -> SessionSnapshot | None:
    """Return the frames since a timestamp and the unsent ones; None when ``session`` begins after it."""
    if not session.reaches(point):
        return None
    finished = _since(point, _answers(session.messages), session.errors)
    return SessionSnapshot(list(session.unsent), _in_order(finished, session.unsent))


def frame_of(message: HistoryMessage, turn: str) -> Frame:
    """Return the ``message`` frame of an answer in the history."""
    frame: Frame = {
        "type": "message",
        "turn": message.get("turn", turn),
        "id": message["id"],
        "msg": message["msg"].removeprefix(BOT),
        "timestamp": message["timestamp"],
    }
    if message.get("stopped"):
        frame["stopped"] = True
    if "incomplete" in message:
        frame["incomplete"] = message["incomplete"]
    if message.get("shortened"):
        frame["shortened"] = True
    if "usage" in message:
        frame["usage"] = message["usage"]
    if message.get("alternatives"):
        frame["replaces"] = message["alternatives"][-1]["id"]
    return frame


def oldest_within(frames: Sequence[Frame]) -> list[Frame]:
    """Return the first frames that fit into one catch-up; at least one."""
    return list(frames[: max(1, _fitting(frames))])


def _latest_within(frames: Sequence[Frame]) -> list[Frame]:
    fitting = _fitting(frames[::-1])
    return list(frames[len(frames) - max(1, fitting) :]) if frames else []


def _fitting(frames: Sequence[Frame]) -> int:
    """Return the number of leading frames that fit into ``CATCH_UP_CHARACTERS`` together."""
    characters = 0
    for count, frame in enumerate(frames):
        characters += len(frame["msg"])
        if characters > CATCH_UP_CHARACTERS:
            return count
    return len(frames)


def with_branches(messages: Iterable[HistoryMessage]) -> Iterator[HistoryMessage]:
    """Yield the messages, each edited one after the messages that it replaced."""
    for message in messages:
        for branch in message.get("branches", ()):
            yield from branch
        yield message


def _answers(messages: Sequence[HistoryMessage]) -> list[Frame]:
    turn, frames = "", []
    for message in with_branches(messages):
        if message["msg"].startswith(HUMAN):
            turn = message["id"]
        elif turn or "turn" in message:  # else the first part of the history lacks the answer's message
            frames.append(frame_of(message, turn))
    return frames


def _time_of(after: str, session: Recent) -> str | None:
    """Return the timestamp of a message or an answer; None when the session does not hold it."""
    for message in with_branches(session.messages):
        older = message.get("alternatives", [])
        for place, answer in enumerate((*older, message)):
            if answer["id"] == after:
                return answer["timestamp"]
            if answer.get("turn") == after:  # the request was made when the previous answer was the latest
                return older[place - 1]["timestamp"]
    for each in session.waiting:
        if each["id"] == after:
            return each["timestamp"]
    for error in session.errors:
        if after in (error.get("refused"), error.get("turn")):
            # The client may or may not have received this error: sending it twice is harmless, not at all is
            # not.
            return _before(error["timestamp"], session)
    return None


def _before(point: str, session: Recent) -> str:
    times = (each["timestamp"] for each in (*session.messages, *session.errors))
    return max((time for time in times if time < point), default="")


def _since(point: str, *groups: Sequence[Frame]) -> list[Frame]:
    return _in_order(*([frame for frame in group if frame["timestamp"] > point] for group in groups))


def _in_order(*groups: Sequence[Frame]) -> list[Frame]:
    by_id = {frame["id"]: frame for group in groups for frame in group}
    return sorted(by_id.values(), key=lambda frame: frame["timestamp"])
