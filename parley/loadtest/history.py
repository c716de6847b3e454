"""Compare the history of a session with its messages and answers: pure functions.

Every message carries its mark, so the history can be checked even if the model does not repeat marks: the
answer to a message is the entry after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.loadtest.faults import Faults, MessageMark

_HUMAN, _BOT = "Human: ", "Bot: "


@dataclass
class History:
    """The history of one session.

    Attributes:
        answers: the id of the first answer to each message, by the number of the message.
        faults: the faults of the history itself, whichever answers came on sockets.
    """

    answers: dict[int, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    def compare(self, delivered: Mapping[int, str]) -> None:
        """Count the answers that came on sockets and are missing here, or stand behind another message.

        Args:
            delivered: the ids of answers by the number of their message.
        """
        here = set(self.answers.values())
        for number, answer in delivered.items():
            if self.answers.get(number) != answer:
                if answer in here:
                    self.faults.misordered += 1
                else:
                    self.faults.lost += 1


def read(messages: Sequence[Mapping[str, Any]], session: str, *, echo: bool) -> History:
    """Check the messages that ``/refresh_token`` returns.

    Args:
        session: the name of the session in marks.
        echo: whether answers repeat the marks of their messages.

    Raises:
        LookupError, TypeError, ValueError: the messages do not have the shape of the protocol.
    """
    history, seen = History(), set[int]()
    faults, asked = history.faults, None
    for message in messages:
        text = message["msg"]
        if not text.startswith((_HUMAN, _BOT)):
            raise ValueError("neither a message nor an answer")
        if text.startswith(_HUMAN):
            asked = MessageMark.of(text)
            if asked is None or asked.session != session:
                faults.crossed += 1
                asked = None
            elif asked.number in seen:
                faults.doubled += 1
            else:
                faults.misordered += asked.number < max(seen, default=0)
                seen.add(asked.number)
        elif asked is None:
            faults.crossed += not seen  # an answer behind a crossed message is counted with the message
        else:
            mark = MessageMark.of(text) if echo else None
            _take_answer(history, message, asked, mark, echo=echo)
    return history


def _take_answer(
    history: History, message: Mapping[str, Any], asked: MessageMark, mark: MessageMark | None, *, echo: bool
) -> None:
    """Take an answer behind the message ``asked``; ``mark`` is the one that it repeats."""
    if mark is not None and mark.session != asked.session:
        history.faults.crossed += 1
    elif asked.number not in history.answers:
        history.answers[asked.number] = message["id"]
        if echo and not message.get("incomplete"):
            history.faults.check(message["msg"].removeprefix(_BOT), asked)
    elif mark is not None and mark.number < asked.number and mark.number not in history.answers:
        history.answers[mark.number] = message["id"]  # of an earlier message, behind a later one
        history.faults.misordered += 1
    else:
        history.faults.doubled += 1
