"""Count faults, and mark messages so that each answer is identifiable."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import NamedTuple

_MARK = re.compile(r"\[(s\d+)\.(\d+)\]")


class MessageMark(NamedTuple):
    """The session and number of a message, written at its start."""

    session: str
    number: int

    def __str__(self) -> str:
        """Return the mark as it is written in a text."""
        return f"[{self[0]}.{self[1]}]"

    @classmethod
    def of(cls, text: str) -> MessageMark | None:
        """Return the last mark in a text, as a model may repeat several messages; None without a mark."""
        place = text.rfind("[s")
        while place >= 0:
            if found := _MARK.match(text, place):
                return cls(found[1], int(found[2]))
            place = text.rfind("[s", 0, place)
        return None


def has_twice(text: str, session: str, number: int) -> bool:
    """Return whether a text repeats the mark of a message more than once: its answer came twice in one."""
    return text.count(str(MessageMark(session, number))) > 1


@dataclass
class _Counts:
    @property
    def total(self) -> int:
        """The sum of all counts."""
        return sum(getattr(self, each.name) for each in fields(self))

    def add(self, other: _Counts) -> None:
        """Add the counts of another."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass
class Faults(_Counts):
    """The faults of answers, on the sockets or in a history.

    Attributes:
        lost: messages without an answer or an error; in a history, delivered answers that are missing.
        doubled: second answers, or messages that are in the history more than once.
        misordered: answers before that of an earlier message, or in the place of another.
        crossed: answers of another session.
        unattributed: answers without a mark, although the model repeats it.
    """

    lost: int = 0
    doubled: int = 0
    misordered: int = 0
    crossed: int = 0
    unattributed: int = 0

    def check(self, text: str, wanted: MessageMark) -> None:
        """Count an answer whose mark is not that of its message, or that has no mark."""
        found = MessageMark.of(text)
        if found is None:
            self.unattributed += 1
        elif found.session != wanted.session:
            self.crossed += 1
        elif found != wanted:
            self.misordered += 1


@dataclass
class TokenFaults(_Counts):
    """The faults of the pieces of answers.

    Attributes:
        lost: missing indexes, and pieces before the ``start`` of their answer.
        doubled: repeated indexes.
        misordered: indexes after a higher one, and pieces after the end of their answer.
        crossed: pieces of an answer to a message that this session did not send.
        differing: answers that differ from their pieces put together.
    """

    lost: int = 0
    doubled: int = 0
    misordered: int = 0
    crossed: int = 0
    differing: int = 0
