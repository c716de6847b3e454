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
        sent: messages that were due in it.
        answered, failed: messages that ended in it.
        latency: of the answers that came in it.
    """

    sent: int = 0
    answered: int = 0
    failed: int = 0
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)

    def add(self, other: Second) -> None:
        """Count what another has counted."""
        self.sent += other.sent
        self.answered += other.answered
        self.failed += other.failed
        self.latency.merge([other.latency])

    @classmethod
    def together(cls, seconds: Sequence[Second]) -> Second:
        """Return some as one."""
        found = cls()
        for each in seconds:
            found.add(each)
        return found


@dataclass
class Measures:
    """Everything measured.

    Attributes:
        latency: from the moment a message was due to the end of its answer.
        first_token: from the same moment to the first token.
        between_tokens: from one token frame to the next of the same answer.
        faults, token_faults, history_faults: with answers on the sockets, their pieces, and in histories.
        histories, unread: sessions whose history was compared with what was told, or could not be read.
        only_in_history: answers that no socket told of.
        good: answers within the plan's objective.
        tokens: token frames.
        characters: of the tokens.
        seconds: by the second since the start.
        lag: how late the generator's own event loop was.
        late: how long after they were due the generator let messages out; only of an open loop.
        cpu: seconds of processor time that the generators used.
        began: when the load did, on the monotonic clock, which all processes of a machine share.
        elapsed: seconds from the first message to the last end.
        cuts: sockets that were broken on purpose.
        dropped: sockets that the service closed or broke.
        unopened: sessions that could not be opened; ``why`` tells of the first.
        unread_why: what came of the first history that could not be read.
        unshaped: answers of a plain socket that are not of the protocol's shape.
        idle: what became of the idle sockets.
        cut_short: the test was ended before its plan was done.
        unfinished: messages whose end a test that was cut short did not wait for.
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
        """All that failed, by code: the errors of messages, and sockets that did not open or stay open."""
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
        """How often something happened that must never happen."""
        return sum(getattr(self, name).total for name in _FAULTS)

    @property
    def under_way(self) -> int:
        """Messages that were sent and have no end."""
        return max(0, self.sent - self.answered - self.failed)

    def second(self, at: float) -> Second:
        """Return the second of a moment, given in seconds since the start."""
        return self.seconds.setdefault(max(0, int(at)), Second())

    def timeline(self) -> list[tuple[int, Second]]:
        """Return each second of the test, also one in which nothing happened.

        The one in which it ended is left out: not a whole one, it would look like a service that slackens.
        """
        ends = int(self.elapsed) or 1
        return [(at, self.seconds.get(at) or Second()) for at in range(ends)] if self.seconds else []

    def merge(self, others: Sequence[Self]) -> None:
        """Add what other processes have measured at the same time."""
        for other in others:
            for name in _HISTOGRAMS:
                getattr(self, name).merge([getattr(other, name)])
            for name in _FAULTS:
                getattr(self, name).add(getattr(other, name))
            self.errors.update(other.errors)
            for name in _SUMS:
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self.elapsed = max(self.elapsed, other.elapsed)
            self.began = min(self.began or other.began, other.began or self.began)
            self.why = self.why or other.why
            self.unread_why = self.unread_why or other.unread_why
            self.cut_short = self.cut_short or other.cut_short
            for at, theirs in other.seconds.items():
                self.second(at).add(theirs)

    def to_json(self, since: int = 0) -> dict[str, Any]:
        """Return what ``from_json`` reads, of the seconds only those from ``since`` on."""
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
        """Read what ``to_json`` wrote."""
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
_OTHERS = ("began", "elapsed", "why", "unread_why", "cut_short")
