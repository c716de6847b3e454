"""Whether the history of a session holds what was said in it: pure functions over its messages.

Every message carries its mark, so the history can be read without the model repeating anything: the answer to
a message is what stands behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parley.loadtest.faults import Faults, Mark

_HUMAN, _BOT = "Human: ", "Bot: "


@dataclass
class History:
    """A history that was read.

    Attributes:
        answers: the id of the first answer to each message, by the number of the message.
        faults: what cannot be in the history of this session, whatever was told on its sockets.
    """

    answers: dict[int, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    def compare(self, told: Mapping[int, str]) -> None:
        """Count the answers, by number of their message, that were told and are not at that place here."""
        here = set(self.answers.values())
        for number, answer in told.items():
            if self.answers.get(number) != answer:
                if answer in here:
                    self.faults.misordered += 1
                else:
                    self.faults.lost += 1


def read(messages: Sequence[Mapping[str, Any]], session: str, *, echo: bool) -> History:
    """Read what ``/refresh_token`` shows of a session.

    Args:
        session: its name in the marks.
        echo: the answers repeat the marks of their messages.

    Raises:
        LookupError, TypeError, ValueError: it is no history as this service shows it.
    """
    history, seen = History(), set[int]()
    faults, asked = history.faults, None
    for message in messages:
        text = message["msg"]
        if not text.startswith((_HUMAN, _BOT)):
            raise ValueError("neither a message nor an answer")
        if text.startswith(_HUMAN):
            asked = Mark.of(text)
            if asked is None or asked.session != session:
                faults.crossed += 1
                asked = None
            elif asked.number in seen:
                faults.doubled += 1
            else:
                faults.misordered += asked.number < max(seen, default=0)
                seen.add(asked.number)
        elif asked is None:
            faults.crossed += not seen  # behind a crossed message it is counted with that
        elif asked.number in history.answers:
            faults.doubled += 1
        else:
            history.answers[asked.number] = message["id"]
            if echo and not message.get("incomplete"):
                faults.check(text.removeprefix(_BOT), asked)
    return history
