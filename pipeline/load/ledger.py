"""What became of each message of one session: pure bookkeeping, no I/O.

A message is *lost* when it got neither an answer nor an error, *doubled* when it got more than one,
*misordered* when its end came after that of a later one, *crossed* when the answer is to another session's
message.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

_MARKER = re.compile(r"\[(s\d+)\.(\d+)\]")


def marker(session: str, number: int) -> str:
    """Return what stands at the start of a message, so that an echo of it can be told from any other."""
    return f"[{session}.{number}]"


@dataclass
class Faults:
    """How often something went wrong that must not."""

    lost: int = 0
    doubled: int = 0
    misordered: int = 0
    crossed: int = 0

    def add(self, other: Faults) -> None:
        """Count what another has counted."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.misordered += other.misordered
        self.crossed += other.crossed


@dataclass
class Sent:
    """A message under way.

    Attributes:
        due: when it was to be sent, on the generator's clock; latency counts from here.
    """

    number: int
    due: float
    id: str
    first_token: float | None = None
    last_token: float | None = None


@dataclass
class Ledger:
    """One session's messages.

    Attributes:
        session: its name in the markers.
        faults, errors: of the whole test, which this session adds to; errors by code.
        answered: how many messages got their answer.
    """

    session: str
    echo: bool = False
    faults: Faults = field(default_factory=Faults)
    errors: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    _waiting: dict[str, Sent] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)

    def sent(self, message: Sent) -> None:
        """Note a message that was sent."""
        self._waiting[message.id] = message

    def resent(self) -> list[Sent]:
        """Return what has no end yet, in the order sent; a client that comes back sends it again."""
        return list(self._waiting.values())

    @property
    def waiting(self) -> int:
        """How many messages have no end yet."""
        return len(self._waiting)

    def of(self, turn: str | None) -> Sent | None:
        """Return the message of a turn; without its name the oldest, which is the one answered next."""
        return self._waiting.get(turn) if turn is not None else next(iter(self._waiting.values()), None)

    def ended(self, turn: str | None, text: str | None, error: str | None) -> Sent | None:
        """Note the end of a message; return it, None when nothing waited for this end.

        Args:
            turn: the id of the message, None if the protocol does not tell.
            text: the answer, None for an error.
            error: the code of an error.
        """
        message = self.of(turn)
        if message is None:
            if turn is None or turn in self._ended:
                self.faults.doubled += 1
            else:
                self.faults.crossed += 1
            return None
        if next(iter(self._waiting)) != message.id and error is None:
            self.faults.misordered += 1
        del self._waiting[message.id]
        self._ended.add(message.id)
        if error is not None:
            self.errors[error] += 1
        else:
            self.answered += 1
            self._check(message, text or "")
        return message

    def close(self, in_history: int = 0) -> int:
        """Return how many messages still wait, but for the answers that only the history holds."""
        missing = max(0, len(self._waiting) - in_history)
        self._waiting.clear()
        return missing

    def _check(self, message: Sent, text: str) -> None:
        if not self.echo:
            return
        found = _MARKER.findall(text)
        if not found:
            return
        session, number = found[-1]
        if session != self.session:
            self.faults.crossed += 1
        elif int(number) != message.number:
            self.faults.misordered += 1
