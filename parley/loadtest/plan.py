"""Define the plan of a load test: immutable, and sent to further processes as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, Self

PROTOCOL: Final = "parley.v1"
"""The protocol that a streaming socket requests in its handshake."""

Protocol = Literal["plain", "streaming", "openai", "described"]


@dataclass(frozen=True)
class LoadPlan:
    """A load test.

    Attributes:
        url: the address of the service, ``http://host:port``, with its base path, if it has one.
        protocol: the protocol of the sockets.
        mode: ``closed``, each session sends its next message after the answer to the last one; or ``open``,
            messages are sent at ``rate`` without waiting for answers.
        sessions: the number of sessions.
        messages: messages of each session; 0 for as many as ``duration`` allows.
        duration: seconds after which no more messages are sent; 0 for no limit but ``messages``.
        rate: messages per second of all sessions together; only in an open loop.
        arrivals: ``constant`` gaps between messages, or those of a ``poisson`` process.
        ramp: seconds over which sessions begin, and over which an open loop reaches its rate.
        warmup: seconds of the same load before the measurement begins; ``duration`` follows them.
        think: mean seconds between an answer and the next message of its session, in a closed loop.
        size, size_to: the minimum and maximum characters of a message, with its mark.
            A message is never shorter than its mark. If ``size_to`` is below ``size``, all messages have
            ``size``.
        sizes: the distribution of sizes: ``uniform``, or ``lognormal`` with 90 % between the two.
        conversations: the path of recorded conversations, whose messages are sent instead; may be empty.
        cut_every: messages of a session after which its socket is broken; 0 for never.
        idle: further sockets that only stay open.
        drain: seconds to wait for missing answers at the end.
        slo: the longest latency of a good answer in seconds, for the goodput.
        processes: the number of generators that share the sessions.
        echo: whether the model repeats its prompt, so that each answer identifies its message.
        seed: the seed of all random numbers.
        model: the name of the model, in the protocol ``openai``.
        max_tokens: tokens of an answer that a request of the protocol ``openai`` asks for; 0 for none said.
        description: of the service, in the protocol ``described``; see ``parley.loadtest.description``.
        phase: in the plan of one generator, the part of a gap by which its messages follow the first one's.
    """

    url: str
    protocol: Protocol = "streaming"
    mode: Literal["closed", "open"] = "closed"
    sessions: int = 10
    messages: int = 0
    duration: float = 10.0
    rate: float = 0.0
    arrivals: Literal["constant", "poisson"] = "constant"
    ramp: float = 0.0
    warmup: float = 0.0
    think: float = 0.0
    size: int = 40
    size_to: int = 0
    sizes: Literal["uniform", "lognormal"] = "uniform"
    conversations: str = ""
    cut_every: int = 0
    idle: int = 0
    drain: float = 15.0
    slo: float = 1.0
    processes: int = 1
    echo: bool = False
    seed: int = 0
    phase: float = 0.0
    model: str = ""
    max_tokens: int = 0
    description: dict[str, Any] | None = None

    @property
    def base(self) -> str:
        """The base URL of the service's paths."""
        return self.url.rstrip("/") + "/"

    def shares(self) -> list[LoadPlan]:
        """Return a plan for each generator; together they are this plan without its idle sockets."""
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
        """Read the result of ``dumps``."""
        return cls(**json.loads(text))
