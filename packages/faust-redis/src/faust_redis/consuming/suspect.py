"""An entry that may have killed its workers, and the choice of the most likely ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from faust.types import TP, Message

from faust_redis.consuming.claims import Claim

__all__ = ["ALONE", "RUNNING", "STRICT", "Suspect", "likely_culprits"]

#: States of a suspect in its mark; ``take_over.lua`` has one more, for those that wait.
STRICT, ALONE, RUNNING = "s", "a", "r"


@dataclass(eq=False)
class Suspect:
    """An entry that was pending when its worker died.

    Attributes:
        is_strict: Whether it may only run while no other of them does.
        deaths: The number of workers that died of it.
        is_youngest: Whether it was the last that its worker had begun.
        state: Its state in Redis, empty while it waits.
        begun_at: When an agent began it.
        message: Its delivery.
        sent_at: Milliseconds since the epoch, None while it is not known.
    """

    tp: TP
    claim: Claim
    is_strict: bool = False
    deaths: int = 0
    is_youngest: bool = False
    state: str = ""
    claimed_at: float = field(default_factory=monotonic)
    begun_at: float | None = None
    message: Message | None = field(default=None, repr=False)
    sent_at: int | None = None

    def order(self) -> tuple[int, bool, int, TP, int]:
        """Return the sort key: the least suspicious first."""
        return self.deaths, not self.is_youngest, self.sent_at or 0, self.tp, self.claim.offset


def likely_culprits(at_work: Sequence[Suspect]) -> list[Suspect]:
    """Return the entries that most likely killed their worker: the youngest, and the oldest.

    One that kills at once was the last to be begun. One that kills with its result took as long as any, and
    those begun before it are done.
    """
    ages = sorted(at_work, key=lambda suspect: (suspect.claim.age_ms, -suspect.claim.offset))
    if ages:
        ages[0].is_youngest = True
    return ages[:1] + ages[1:][-1:]
