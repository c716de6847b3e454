"""Define the plan of a load test: immutable, and sent to further processes as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, Self

PROTOCOL: Final = "parley.v1"
"""The protocol that a streaming socket requests in its handshake."""


@dataclass(frozen=True)
class LoadPlan:
    """A load test.

    Attributes:
        url: the address of the service, ``http://host:port``, with the path below which it answers, if any.
        protocol: what the sockets speak.
        mode: ``closed``, each session sends its next message when it has its answer; or ``open``, messages go
            out at ``rate`` whatever comes back.
        sessions: how many talk at once.
        messages: how many each session sends; 0 for as many as ``duration`` allows.
        duration: seconds after which nothing more is sent; 0 for no end but ``messages``.
        rate: messages per second of all sessions together; only of an open loop.
        arrivals: ``constant`` gaps between messages, or those of a ``poisson`` process.
        ramp: seconds over which sessions begin, and over which an open loop reaches its rate.
        size, size_to: characters of a message, its mark among them; any number between the two is as likely.
            A message is never shorter than its mark. A ``size_to`` below ``size`` means that all have
            ``size``.
        cut_every: messages of a session after which its socket is broken; 0 for never.
        idle: sockets that are opened besides and only stay open.
        drain: seconds to wait for what is still missing at the end.
        slo: seconds within which an answer is a good one, for the goodput.
        processes: generators that share the sessions.
        echo: the model repeats what it was asked, so that answers can be told apart.
        seed: of everything that is random.
        phase: of a share: by what part of a gap its messages come after those of the first share.
    """

    url: str
    protocol: Literal["plain", "streaming"] = "streaming"
    mode: Literal["closed", "open"] = "closed"
    sessions: int = 10
    messages: int = 0
    duration: float = 10.0
    rate: float = 0.0
    arrivals: Literal["constant", "poisson"] = "constant"
    ramp: float = 0.0
    size: int = 40
    size_to: int = 0
    cut_every: int = 0
    idle: int = 0
    drain: float = 15.0
    slo: float = 1.0
    processes: int = 1
    echo: bool = False
    seed: int = 0
    phase: float = 0.0

    @property
    def base(self) -> str:
        """The base URL of the service's paths."""
        return self.url.rstrip("/") + "/"

    def shares(self) -> list[LoadPlan]:
        """Return a plan for each generator; together they are this one, but for the idle sockets."""
        count = max(1, min(self.processes, self.sessions))
        shares = []
        for number in range(count):
            sessions = self.sessions // count + (number < self.sessions % count)
            shares.append(
                replace(
                    self,
                    processes=1,
                    sessions=sessions,
                    rate=self.rate * sessions / self.sessions,
                    idle=0,
                    seed=self.seed * 1000 + number,
                    phase=number / count,
                )
            )
        return shares

    def dumps(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read what ``dumps`` wrote."""
        return cls(**json.loads(text))
