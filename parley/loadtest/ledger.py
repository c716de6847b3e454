"""Record the outcome of each message of one session: pure bookkeeping, no I/O.

The streaming protocol names the message that an answer ends. The plain one does not: there the mark tells
that the answer repeats, or else the oldest message without an end is taken for it.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile

from parley.loadtest.faults import Faults, Mark, TokenFaults
from parley.loadtest.pieces import Pieces


@dataclass
class Sent:
    """A message under way.

    Attributes:
        due: when it was to be sent, on the generator's clock; latency counts from here.
        pieces: of its answer; None until the first frame of it.
    """

    number: int
    due: float
    id: str
    first_token: float | None = None
    last_token: float | None = None
    pieces: Pieces | None = None


@dataclass
class Ledger:
    """One session's messages.

    Attributes:
        session: its name in the marks.
        echo: answers repeat the marks.
        faults, tokens, errors: of the whole test, which this session adds to; errors by code.
        answers: the ids of the answers that came, by the number of their message.
    """

    session: str
    echo: bool = False
    faults: Faults = field(default_factory=Faults)
    tokens: TokenFaults = field(default_factory=TokenFaults)
    errors: Counter[str] = field(default_factory=Counter)
    answers: dict[int, str] = field(default_factory=dict)
    _waiting: dict[str, Sent] = field(default_factory=dict)
    _connection: int = 0
    _ended: dict[str, int] = field(default_factory=dict)  # by message: the connection that told of its end
    _told: dict[str, int] = field(default_factory=dict)  # by answer, of the plain protocol
    _again: set[str] = field(default_factory=set)
    _overtaking: list[int] = field(default_factory=list)  # messages answered before some that wait still
    _nameless: int = 0  # errors of some of those that wait

    def sent(self, message: Sent) -> None:
        """Note a message that was sent."""
        self._waiting[message.id] = message

    def resent(self) -> list[Sent]:
        """Return what has no end yet, in the order sent; a client that comes back sends it again."""
        return list(self._waiting.values())

    @property
    def waiting(self) -> int:
        """How many messages have no end yet."""
        return len(self._waiting) - self._nameless

    def reconnected(self) -> None:
        """Note that the session has a new socket, to which the running answer is told from its start."""
        self._connection += 1
        for message in self._waiting.values():
            message.pieces = None

    def resume_failed(self) -> None:
        """Record that the service repeats the history, because it does not hold the message of ``after``."""
        self.errors["resume_failed"] += 1
        self._again = set(self._ended)

    def started(self, turn: str) -> None:
        """Note that the model begins to answer, or begins anew."""
        message = self._waiting.get(turn)
        if message is not None:
            message.pieces = message.pieces or Pieces(self.tokens)
            message.pieces.begin()

    def token(self, turn: str, index: int, text: str) -> Sent | None:
        """Note a piece of an answer; return its message, None when nothing waits for it."""
        message = self._waiting.get(turn)
        if message is not None:
            message.pieces = message.pieces or Pieces(self.tokens)
            message.pieces.add(index, text)
        elif turn in self._ended:
            self.tokens.misordered += 1
        else:
            self.tokens.crossed += 1
        return message

    def ended(self, turn: str | None, text: str | None, error: str | None, answer: str = "") -> Sent | None:
        """Note the end of a message; return it, None when nothing waited for this end.

        Args:
            turn: the id of the message, None if the protocol does not tell.
            text: the answer, None when there is none.
            error: the code of an error, which may have a text, too: what there was of the answer.
            answer: the id of the frame.
        """
        message = self._whose(text, error, answer) if turn is None else self._named(turn, error)
        if message is None:
            return None
        if self._overtaking and self._overtaking[-1] > message.number:
            self._overtaking = [number for number in self._overtaking if number < message.number]
        if error is None:
            self._check_order(message)
        self._end(message, self._connection)
        if message.pieces is not None and text is not None:
            message.pieces.end(text)
        if error is not None:
            self.errors[error] += 1
        else:
            if answer:  # another service may name none
                self.answers[message.number] = answer
            if self.echo:
                self.faults.check(text or "", Mark(self.session, message.number))
        return message

    def in_history(self, answers: Mapping[int, str]) -> list[Sent]:
        """Note and return the messages that wait and that the history has answers to, by their number.

        The socket may bring such an answer still: a plain one brings what no socket has taken, as far as the
        service knows. An answer that was told as another message's is none, wherever it stands.
        """
        told = set(self.answers.values())
        found = [
            message
            for message in self._waiting.values()
            if message.number in answers and answers[message.number] not in told
        ]
        for message in found:
            self._end(message, self._connection - 1)
            self.answers[message.number] = answers[message.number]
            self._told[answers[message.number]] = self._connection - 1
        return found

    def give_up(self) -> int:
        """Return how many messages have no end and are to get none.

        Of the answers that came before theirs, those that came before no other were not misordered after all.
        """
        self.faults.misordered -= len(self._overtaking)
        self._overtaking = []
        return self.waiting

    def _named(self, turn: str, error: str | None) -> Sent | None:
        message = self._waiting.get(turn)
        if message is not None:
            return message
        if turn not in self._ended:
            self.faults.crossed += 1
        elif turn in self._again:
            self._again.remove(turn)
        elif error is not None and self._ended[turn] < self._connection:
            # ``after`` names an answer: who comes back hears once more of errors since.
            self._ended[turn] = self._connection
        else:
            self.faults.doubled += 1
        return None

    def _whose(self, text: str | None, error: str | None, answer: str) -> Sent | None:
        if answer in self._told:
            # What came right before a socket broke has arrived unknown to the service; it tells it again.
            self.faults.doubled += self._told[answer] == self._connection
            self._told[answer] = self._connection
            return None
        if answer:
            self._told[answer] = self._connection
        oldest = next(iter(self._waiting.values()), None)
        mark = Mark.of(text or "") if self.echo and error is None else None
        if oldest is not None and error is not None and len(self._waiting) > 1:
            self.errors[error] += 1
            self._nameless += 1
            return None
        if mark is None or oldest is None:
            self.faults.doubled += oldest is None
            return oldest
        if mark.session != self.session:
            self.faults.crossed += 1
            return None
        for message in self._waiting.values():
            if message.number == mark.number:
                return message
        self.faults.doubled += 1
        return None

    def _check_order(self, message: Sent) -> None:
        earlier = list(takewhile(lambda each: each != message.id, self._waiting))
        if len(earlier) > self._nameless:
            self.faults.misordered += 1
            insort(self._overtaking, message.number)
            return
        # Errors without a name were those of the messages that are passed over now.
        self._nameless -= len(earlier)
        for each in earlier:
            self._end(self._waiting[each], self._connection)

    def _end(self, message: Sent, connection: int) -> None:
        del self._waiting[message.id]
        self._ended[message.id] = connection
