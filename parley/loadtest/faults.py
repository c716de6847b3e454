"""Count faults, and mark messages so that each answer is identifiable."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import NamedTuple

_MARK = re.compile(r"\[(s\d+)\.(\d+)\]")


class Mark(NamedTuple):
    """Whose message a text is, or answers; stands at the start of a message."""

    session: str
    number: int

    def __str__(self) -> str:
        """Return it as it stands in a text."""
        return f"[{self.session}.{self.number}]"

    @classmethod
    def of(cls, text: str) -> Mark | None:
        """Return the last mark in a text: a model may repeat more of a conversation than the last message."""
        found = _MARK.findall(text)
        return cls(found[-1][0], int(found[-1][1])) if found else None


@dataclass
class _Counts:
    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, each.name) for each in fields(self))

    def add(self, other: _Counts) -> None:
        """Count what another has counted."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass
class Faults(_Counts):
    """The faults of answers, on the sockets or in a history.

    Attributes:
        lost: neither an answer nor an error; in a history: an answer that was told and is not there.
        doubled: more than one answer, or a message that stands in the history more than once.
        misordered: before that of an earlier message, or at the place of another's.
        crossed: of another session.
        unattributed: without the mark of any message, although the model repeats it.
    """

    lost: int = 0
    doubled: int = 0
    misordered: int = 0
    crossed: int = 0
    unattributed: int = 0

    def check(self, text: str, wanted: Mark) -> None:
        """Count an answer that repeats another mark than that of its message, or none."""
        found = Mark.of(text)
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
        lost: an index that was left out, or a piece before the ``start`` of its answer.
        doubled: an index that came before.
        misordered: an index after a higher one, or a piece after the end of its answer.
        crossed: a piece of an answer to nobody's message.
        differing: answers that their pieces do not add up to.
    """

    lost: int = 0
    doubled: int = 0
    misordered: int = 0
    crossed: int = 0
    differing: int = 0
