"""What a client that comes back has missed: pure functions over what the session holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.chat.records import BOT, HUMAN, Frame
from pipeline.chat.results import HistoryMessage, SessionSnapshot

#: Characters of the answers that a socket gets at once when it comes back. More, and a few dozen sockets on a
#: long session would fill the web process; a client that lacks more reads the history.
CATCH_UP_CHARACTERS: Final = 1024 * 1024


@dataclass(frozen=True)
class Recent:
    """What a session holds, the history perhaps in part.

    Attributes:
        messages: the history, or the last part of it; `whole` says which.
        errors: that ended turns, or refused messages.
        unsent: the frames that no socket has taken yet.
        waiting: the inbox.
        open_turn: the id of the open turn, if there is one.
    """

    messages: Sequence[HistoryMessage]
    errors: Sequence[Frame]
    unsent: Sequence[Frame]
    waiting: Sequence[HistoryMessage]
    open_turn: str | None
    whole: bool

    def reaches(self, point: str) -> bool:
        """Return whether every answer since a time is among the messages."""
        return self.whole or self.messages[0]["timestamp"] <= point


def resume(session: Recent, after: str) -> SessionSnapshot | None:
    """Return what ended since a message, None when the messages given do not reach back to it.

    "Since" is a matter of time: a message may wait while others are answered, and a client that knows no more
    than that it was accepted lacks their answers.

    Args:
        after: the id of a message, an answer (also one that was replaced) or a request to regenerate.
    """
    frames = _answers(session.messages)
    point = _time_of(after, session)
    if point is None and after == session.open_turn:  # a request to regenerate that is being answered
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
    """Return the latest that ended, for a client whose last message the session does not hold."""
    ended = _in_order(_answers(session.messages), session.unsent)
    return SessionSnapshot(list(session.unsent), _latest_within(ended), resumed=False)


def resume_since(session: Recent, point: str) -> SessionSnapshot | None:
    """Return what ended since a time and what no socket has taken; None when it is further back."""
    if not session.reaches(point):
        return None
    finished = _since(point, _answers(session.messages), session.errors)
    return SessionSnapshot(list(session.unsent), _in_order(finished, session.unsent))


def frame_of(message: HistoryMessage, turn: str) -> Frame:
    """Return the frame that told of an answer, which the history holds."""
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
    """Return the first of some frames, as many as a socket gets at once; at least one."""
    return list(frames[: max(1, _fitting(frames))])


def _latest_within(frames: Sequence[Frame]) -> list[Frame]:
    fitting = _fitting(frames[::-1])
    return list(frames[len(frames) - max(1, fitting) :]) if frames else []


def _fitting(frames: Sequence[Frame]) -> int:
    """Return how many of the first frames fit into CATCH_UP_CHARACTERS together."""
    characters = 0
    for count, frame in enumerate(frames):
        characters += len(frame["msg"])
        if characters > CATCH_UP_CHARACTERS:
            return count
    return len(frames)


def with_branches(messages: Iterable[HistoryMessage]) -> Iterator[HistoryMessage]:
    """Yield the messages, and before each edited one those that it replaced."""
    for message in messages:
        for branch in message.get("branches", ()):
            yield from branch
        yield message


def _answers(messages: Sequence[HistoryMessage]) -> list[Frame]:
    turn, frames = "", []
    for message in with_branches(messages):
        if message["msg"].startswith(HUMAN):
            turn = message["id"]
        else:
            frames.append(frame_of(message, turn))
    return frames


def _time_of(after: str, session: Recent) -> str | None:
    """Return when a message was taken or an answer was finished; None when it is not found."""
    for message in with_branches(session.messages):
        older = message.get("alternatives", [])
        for place, answer in enumerate((*older, message)):
            if answer["id"] == after:
                return answer["timestamp"]
            if answer.get("turn") == after:  # a request made when there was the answer before this one
                return older[place - 1]["timestamp"]
    for each in session.waiting:
        if each["id"] == after:
            return each["timestamp"]
    for error in session.errors:
        if after in (error.get("refused"), error.get("turn")):
            # The client may have heard of it or not; told once more it is no harm, untold it is.
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
