"""Record the outcome of each message of one session: pure bookkeeping, no I/O.

In the streaming protocol a frame carries the id of the message that it answers. In the plain protocol it does
not: there the mark that the answer repeats identifies the message, or else the oldest open one is assumed.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile

from parley.loadtest.faults import Faults, MessageMark, TokenFaults
from parley.loadtest.pieces import Pieces


@dataclass(slots=True)
class Sent:
    """A message that waits for its answer.

    Attributes:
        due: the time it was to be sent, on the generator's clock; latency counts from here.
        pieces: the pieces of its answer; None until the first frame of it.
    """

    number: int
    due: float
    id: str
    first_token: float | None = None
    last_token: float | None = None
    pieces: Pieces | None = None


@dataclass
class Ledger:
    """The messages of one session.

    Attributes:
        session: the name of the session in marks.
        echo: whether answers repeat the marks.
        faults, tokens, errors: the counters of the whole test, to which this session adds; errors by code.
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
    _ended: dict[str, int] = field(default_factory=dict)  # by message id: the connection that brought its end
    _delivered: dict[str, int] = field(default_factory=dict)  # by answer id, in the plain protocol
    _repeating: set[str] = field(default_factory=set)  # ended messages whose answers will come once more
    _overtaking: list[int] = field(default_factory=list)  # messages answered before earlier ones
    _nameless: int = 0  # errors that belong to open messages, but name no message

    def sent(self, message: Sent) -> None:
        """Record a message that was sent."""
        self._waiting[message.id] = message

    def resent(self) -> list[Sent]:
        """Return the open messages in the order sent; a client that reconnects sends them again."""
        return list(self._waiting.values())

    @property
    def waiting(self) -> int:
        """The number of open messages: neither answered nor failed."""
        return len(self._waiting) - self._nameless

    def reconnected(self) -> None:
        """Record that the session has a new socket, on which the running answer begins from its start."""
        self._connection += 1
        for message in self._waiting.values():
            message.pieces = None

    def resume_failed(self) -> None:
        """Record that the service repeats the history, because it lacks the message named by ``after``."""
        self.errors["resume_failed"] += 1
        self._repeating = set(self._ended)

    def started(self, turn: str) -> None:
        """Record that the model starts an answer, or restarts it."""
        message = self._waiting.get(turn)
        if message is not None:
            message.pieces = message.pieces or Pieces(self.tokens)
            message.pieces.begin()

    def token(self, turn: str, index: int, text: str) -> Sent | None:
        """Record a piece of an answer; return its message, or None if no open message has this turn."""
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
        """Record the end of a message; return the message, or None if no open message has this end.

        Args:
            turn: the id of the message, None in the protocol without ids.
            text: the answer, None without an answer.
            error: the code of an error; ``text`` then holds the part of the answer that came before it.
            answer: the id of the frame.
        """
        message = self._message_of(text, error, answer) if turn is None else self._named(turn, error)
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
            if answer:  # another service may send no id
                self.answers[message.number] = answer
            if self.echo:
                self._check_mark(text or "", message)
        return message

    def in_history(self, answers: Mapping[int, str]) -> list[Sent]:
        """Close the open messages that have an answer in the history, and return them.

        The socket may still bring such an answer: the service sends a plain socket every answer that no
        socket has acknowledged. An answer that came for another message does not count.

        Args:
            answers: the ids of the answers in the history, by the number of their message.
        """
        delivered = set(self.answers.values())
        found = [
            message
            for message in self._waiting.values()
            if message.number in answers and answers[message.number] not in delivered
        ]
        for message in found:
            self._end(message, self._connection - 1)
            self.answers[message.number] = answers[message.number]
            self._delivered[answers[message.number]] = self._connection - 1
        return found

    def open_message(self, turn: str | None) -> Sent | None:
        """Return the open message with an id, or the oldest one if there is no id; None without one."""
        return self._waiting.get(turn) if turn is not None else next(iter(self._waiting.values()), None)

    def lose(self, message: Sent) -> None:
        """Record that the answer to a message can no longer come."""
        self.faults.lost += 1
        self._end(message, self._connection)

    def give_up(self) -> int:
        """Stop waiting, and return the number of messages that stay open.

        An answer that overtook only messages which stay open was not misordered after all.
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
        elif turn in self._repeating:
            self._repeating.remove(turn)
        elif error is not None and self._ended[turn] < self._connection:
            # ``after`` names an answer, so a client that reconnects gets the errors since then once more.
            self._ended[turn] = self._connection
        else:
            self.faults.doubled += 1
        return None

    def _message_of(self, text: str | None, error: str | None, answer: str) -> Sent | None:
        """Return the message that a plain frame ends."""
        if answer in self._delivered:
            # The service sends an answer again if the socket broke right after it had arrived.
            self.faults.doubled += self._delivered[answer] == self._connection
            self._delivered[answer] = self._connection
            return None
        if answer:
            self._delivered[answer] = self._connection
        oldest = next(iter(self._waiting.values()), None)
        if oldest is not None and error is not None and len(self._waiting) > 1:
            self.errors[error] += 1
            self._nameless += 1
            return None
        return self._marked(text or "", oldest) if self.echo and error is None else self._at_front(oldest)

    def _at_front(self, oldest: Sent | None) -> Sent | None:
        """Return the oldest open message, to which an end without a mark belongs."""
        self.faults.doubled += oldest is None
        return oldest

    def _marked(self, text: str, oldest: Sent | None) -> Sent | None:
        """Return the open message whose mark an answer repeats."""
        if oldest is not None and self._repeats(text, oldest):
            return oldest
        mark = MessageMark.of(text)
        if mark is not None and mark.session != self.session:
            self.faults.crossed += 1
            return None
        if mark is None or oldest is None:
            return self._at_front(oldest)
        for message in self._waiting.values():
            if message.number == mark.number:
                return message
        self.faults.doubled += 1
        return None

    def _check_mark(self, text: str, message: Sent) -> None:
        if not self._repeats(text, message):
            self.faults.check(text, MessageMark(self.session, message.number))

    def _repeats(self, text: str, message: Sent) -> bool:
        """Return whether the last mark in a text is that of a message, which costs less than to read it."""
        return text.startswith(f"[{self.session}.{message.number}]", text.rfind("[s"))

    def _check_order(self, message: Sent) -> None:
        if next(iter(self._waiting)) == message.id:
            return
        earlier = list(takewhile(lambda each: each != message.id, self._waiting))
        if len(earlier) > self._nameless:
            self.faults.misordered += 1
            insort(self._overtaking, message.number)
            return
        # The errors without an id were those of the messages that this answer overtakes.
        self._nameless -= len(earlier)
        for each in earlier:
            self._end(self._waiting[each], self._connection)

    def _end(self, message: Sent, connection: int) -> None:
        del self._waiting[message.id]
        self._ended[message.id] = connection
