"""What a client that comes back has missed: pure functions over what the session holds."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.messages import BOT, HUMAN, Frame
from pipeline.session_replies import Message, View


def resume(
    after: str,
    *,
    messages: Sequence[Message],
    errors: Sequence[Frame],
    unsent: Sequence[Frame],
    waiting: Sequence[Message],
    open_turn: str | None,
    whole: bool,
) -> View | None:
    """Return what ended since a message, None when the messages given do not reach back to it.

    "Since" is a matter of time: a message may wait while others are answered, and a client that knows no more
    than that it was accepted lacks their answers.

    Args:
        after: the id of a message, an answer (also one that was replaced) or a request to regenerate.
        messages: the history, or the last part of it.
        errors: that ended turns, or refused messages.
        waiting: the inbox.
        open_turn: the id of the open turn, if there is one.
        whole: `messages` are the whole history.
    """
    frames = _answers(messages)
    point = _time_of(after, messages, errors, waiting)
    if point is None and after == open_turn:  # a request to regenerate that is being answered
        point = max((frame["timestamp"] for frame in (*frames, *errors)), default="")
    if point is None:
        return View(list(unsent), _in_order(frames, unsent), resumed=False) if whole else None
    if not whole and messages[0]["timestamp"] > point:
        return None
    finished = _in_order(
        *([frame for frame in each if frame["timestamp"] > point] for each in (frames, errors, unsent))
    )
    later = {frame["id"] for frame in finished}
    earlier = frozenset(frame["id"] for frame in unsent if frame["id"] not in later)
    return View(list(unsent), finished, earlier)


def frame_of(message: Message, turn: str) -> Frame:
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
    if message.get("alternatives"):
        frame["replaces"] = message["alternatives"][-1]["id"]
    return frame


def _answers(messages: Sequence[Message]) -> list[Frame]:
    turn, frames = "", []
    for message in messages:
        if message["msg"].startswith(HUMAN):
            turn = message["id"]
        else:
            frames.append(frame_of(message, turn))
    return frames


def _time_of(
    after: str, messages: Sequence[Message], errors: Sequence[Frame], waiting: Sequence[Message]
) -> str | None:
    """Return when a message was taken or an answer was finished; None when it is not found."""
    for message in messages:
        older = message.get("alternatives", [])
        for answer in (message, *older):
            if answer["id"] == after:
                return answer["timestamp"]
            if answer.get("turn") == after:  # it was asked for after the answer before it
                place = older.index(answer) if answer in older else len(older)
                return older[place - 1]["timestamp"]
    for each in waiting:
        if each["id"] == after:
            return each["timestamp"]
    for error in errors:
        if after in (error.get("refused"), error.get("turn")):
            # The client may have heard of it or not; told once more it is no harm, untold it is.
            return _before(error["timestamp"], messages, errors)
    return None


def _before(point: str, messages: Sequence[Message], errors: Sequence[Frame]) -> str:
    times = (each["timestamp"] for each in (*messages, *errors))
    return max((time for time in times if time < point), default="")


def _in_order(*groups: Sequence[Frame]) -> list[Frame]:
    by_id = {frame["id"]: frame for group in groups for frame in group}
    return sorted(by_id.values(), key=lambda frame: frame["timestamp"])
