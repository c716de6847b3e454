"""Hold the measurements of a load test, and merge those of its processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from parley.loadtest.faults import Faults, TokenFaults
from parley.loadtest.histogram import LatencyHistogram
from parley.loadtest.idle import Idle


@dataclass
class Second:
    """One second of the test.

    Attributes:
        sent: the number of messages that were due in it.
        answered, failed: the number of messages that were answered, or failed, in it.
        latency: the latencies of the answers that came in it.
    """

    sent: int = 0
    answered: int = 0
    failed: int = 0
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)

    def add(self, other: Second) -> None:
        """Add the counts of another."""
        self.sent += other.sent
        self.answered += other.answered
        self.failed += other.failed
        self.latency.merge([other.latency])

    @classmethod
    def together(cls, seconds: Sequence[Second]) -> Second:
        """Return the sum of several."""
        found = cls()
        for each in seconds:
            found.add(each)
        return found


@dataclass
class Measures:
    """The measurements of a test.

    Attributes:
        latency: seconds from the time a message was due to the end of its answer.
        first_token: seconds from the same time to the first token.
        between_tokens: seconds from one token frame of an answer to the next.
        lag: seconds by which the generator's own event loop was late.
        late: seconds by which messages were sent after they were due; only in an open loop.
        faults, token_faults, history_faults: the faults of answers on sockets, of their tokens, of histories.
        histories, unread: sessions whose history was compared with the answers, or could not be read.
        unread_why: the reason why the first unread history could not be read.
        only_in_history: answers that came on no socket.
        warmed_up: messages of the warm-up, which are in no other figure but the faults and the errors.
        good: answers within the plan's objective.
        tokens: token frames.
        characters: characters in the token frames.
        cuts: sockets that were broken on purpose.
        dropped: sockets that the service closed or broke.
        unshaped: plain frames that do not have the protocol's shape.
        unopened: sessions that could not be opened.
        why: the reason why the first unopened session could not be opened.
        idle: the figures of idle sockets.
        cut_short: whether the test was ended before its plan was done.
        unfinished: messages without an answer when the test was cut short.
        cpu: seconds of processor time that the generators used.
        busiest: the share of a core that the busiest generator used.
        began: the start of the load on the monotonic clock, which all processes of a machine share.
        elapsed: seconds from the first message to the end of the last.
        seconds: the counts of each second, by seconds since the start.
    """

    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    first_token: LatencyHistogram = field(default_factory=LatencyHistogram)
    between_tokens: LatencyHistogram = field(default_factory=LatencyHistogram)
    lag: LatencyHistogram = field(default_factory=LatencyHistogram)
    late: LatencyHistogram = field(default_factory=LatencyHistogram)
    faults: Faults = field(default_factory=Faults)
    token_faults: TokenFaults = field(default_factory=TokenFaults)
    history_faults: Faults = field(default_factory=Faults)
    histories: int = 0
    unread: int = 0
    unread_why: str = ""
    only_in_history: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    warmed_up: int = 0
    answered: int = 0
    good: int = 0
    tokens: int = 0
    characters: int = 0
    cuts: int = 0
    dropped: int = 0
    unshaped: int = 0
    unopened: int = 0
    why: str = ""
    idle: Idle = field(default_factory=Idle)
    cut_short: bool = False
    unfinished: int = 0
    cpu: float = 0.0
    busiest: float = 0.0
    began: float = 0.0
    elapsed: float = 0.0
    seconds: dict[int, Second] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.elapsed if self.elapsed else 0.0

    @property
    def goodput(self) -> float:
        """Answers per second that came within the objective."""
        return self.good / self.elapsed if self.elapsed else 0.0

    @property
    def failed(self) -> int:
        """Messages that ended with an error."""
        return sum(self.errors.values())

    @property
    def problems(self) -> Counter[str]:
        """All failures by code: the errors of messages, and the sockets that did not open or stay open."""
        idle = self.idle
        sockets = {
            "session_unopened": self.unopened,
            "socket_closed": self.dropped,
            "idle_unopened": idle.asked - idle.opened,
            "idle_closed": idle.opened - idle.kept,
        }
        return self.errors + Counter(sockets)

    @property
    def wrong(self) -> int:
        """The number of faults: answers, tokens or histories that violate the guarantees."""
        return sum(getattr(self, name).total for name in _FAULTS)

    @property
    def under_way(self) -> int:
        """The number of messages that were sent, and neither answered nor failed."""
        return max(0, self.sent - self.answered - self.failed)

    def second(self, at: float) -> Second:
        """Return the counts of the second that holds ``at``, in seconds since the start."""
        place = int(at) if at > 0 else 0
        if (found := self.seconds.get(place)) is None:
            found = self.seconds[place] = Second()
        return found

    def timeline(self) -> list[tuple[int, Second]]:
        """Return each whole second of the test with its counts, also an empty one.

        The last one is left out, because it is not whole and would look like a drop of the rate.
        """
        ends = int(self.elapsed) or 1
        return [(at, self.seconds.get(at) or Second()) for at in range(ends)] if self.seconds else []

    def merge(self, others: Sequence[Self]) -> None:
        """Add the measurements that other processes made at the same time."""
        for other in others:
            for name in _HISTOGRAMS:
                getattr(self, name).merge([getattr(other, name)])
            for name in _FAULTS:
                getattr(self, name).add(getattr(other, name))
            self.errors.update(other.errors)
            for name in _SUMS:
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self.elapsed = max(self.elapsed, other.elapsed)
            self.busiest = max(self.busiest, other.busiest)
            self.began = min(self.began or other.began, other.began or self.began)
            self.why = self.why or other.why
            self.unread_why = self.unread_why or other.unread_why
            self.cut_short = self.cut_short or other.cut_short
            for at, theirs in other.seconds.items():
                self.second(at).add(theirs)

    def to_json(self, since: int = 0) -> dict[str, Any]:
        """Return the measurements for ``from_json``, with the seconds from ``since`` on."""
        return {
            **{name: getattr(self, name).to_json() for name in _HISTOGRAMS},
            **{name: getattr(self, name) for name in (*_SUMS, *_OTHERS)},
            **{name: asdict(getattr(self, name)) for name in _FAULTS},
            "errors": dict(self.errors),
            "seconds": {
                at: {
                    "sent": each.sent,
                    "answered": each.answered,
                    "failed": each.failed,
                    "latency": each.latency.to_json(),
                }
                for at, each in self.seconds.items()
                if at >= since
            },
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Return the measurements that ``to_json`` wrote."""
        measures = cls(errors=Counter(found["errors"]))
        for name in _FAULTS:
            setattr(measures, name, type(getattr(measures, name))(**found[name]))
        for name in _HISTOGRAMS:
            setattr(measures, name, LatencyHistogram.from_json(found[name]))
        for name in (*_SUMS, *_OTHERS):
            setattr(measures, name, found[name])
        for at, each in found["seconds"].items():
            latency = LatencyHistogram.from_json(each["latency"])
            measures.seconds[int(at)] = Second(each["sent"], each["answered"], each["failed"], latency)
        return measures


_HISTOGRAMS = ("latency", "first_token", "between_tokens", "lag", "late")
_FAULTS = ("faults", "token_faults", "history_faults")
_SUMS = (
    "sent",
    "warmed_up",
    "answered",
    "good",
    "tokens",
    "characters",
    "cuts",
    "dropped",
    "unshaped",
    "unopened",
    "unfinished",
    "histories",
    "unread",
    "only_in_history",
    "cpu",
)
_OTHERS = ("began", "elapsed", "busiest", "why", "unread_why", "cut_short")
