"""Hold the outcome of a load test, with the doubts about its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from parley.loadtest.bounds import EXIT_BROKEN, EXIT_FAULT, EXIT_NOTHING, Verdict, told
from parley.loadtest.histogram import LatencyHistogram
from parley.loadtest.lifting import HOW, REFUSALS
from parley.loadtest.measures import Measures
from parley.loadtest.model import Pace
from parley.loadtest.plan import LoadPlan
from parley.loadtest.samples import Spell, together
from parley.loadtest.usage import Usage

# Above these the generator, not the service, may be what was measured.
_LATE_SECONDS = 0.02
_BUSY = 0.85
# Cores that programs besides may keep busy before the figures are no longer those of the service alone.
_OTHERS_CORES = 0.2
# A closed loop hides a stall when, with what was held back, the 99th percentile is so many times as long.
_HIDDEN = 2.0

# What is still checked when answers do not repeat the marks of their messages.
_UNATTRIBUTED = (
    "the model does not repeat the messages (see --echo), so what an answer says was not checked; "
)
_CHECKED_INSTEAD = {
    "streaming": "the turns that answers name were, their order, and their place in the history",
    "plain": "their number was, and that the history has them in the order told, each behind its message",
}


@dataclass(frozen=True)
class LoadOutcome:
    """A finished test.

    Attributes:
        service: what was tested, in words.
        spells: what its processes used, the generator's and all others of this machine, one after the other.
        pace: of the model; None when it is not ours.
        command: the line that repeats the test.
    """

    plan: LoadPlan
    measures: Measures
    verdicts: Sequence[Verdict]
    service: str
    finished: datetime
    spells: Sequence[Spell] = ()
    pace: Pace | None = None
    command: str = "parley load"

    @property
    def passed(self) -> bool:
        """Whether all bounds were kept, and nothing happened that must never happen."""
        return all(verdict.kept for verdict in self.verdicts)

    @property
    def status(self) -> int:
        """With what ``parley load`` ends."""
        measures = self.measures
        if not measures.sent:
            return 0 if measures.idle.opened and self.passed else EXIT_NOTHING
        if any(verdict.fault for verdict in self.verdicts):
            return EXIT_FAULT
        if not self.passed:
            return EXIT_BROKEN
        return 0 if measures.answered else EXIT_NOTHING

    @property
    def used(self) -> Spell:
        """The resources used over the complete test."""
        return together(self.spells)

    @property
    def processes(self) -> Mapping[str, Usage]:
        """The resources used by the service and the test; empty when the service runs elsewhere."""
        used = self.used.used
        return used if len(used) > 1 else {}

    @property
    def others(self) -> float | None:
        """Cores that all other programs of this machine kept busy; None when that was not to be seen."""
        spell = self.used
        if not spell.machine or len(spell.used) < 2:
            return None
        return max(0.0, spell.machine - sum(each.cpu for each in spell.used.values())) / spell.seconds

    @property
    def held_back(self) -> LatencyHistogram | None:
        """The latency with that of the messages which a stall held back; only of a closed loop."""
        latency = self.measures.latency
        if self.plan.mode == "open" or not latency.count:
            return None
        return latency.corrected(latency.percentile(50))

    @property
    def hides_a_stall(self) -> bool:
        """Whether sessions that waited sent so little in a stall that p99 does not show it."""
        held = self.held_back
        return held is not None and held.percentile(99) > max(
            _HIDDEN * self.measures.latency.percentile(99), _LATE_SECONDS
        )

    @property
    def warnings(self) -> list[str]:
        """The reasons to doubt the figures."""
        return [*self._of_generator(), *self._of_messages(), *self._of_sockets()]

    def _of_generator(self) -> list[str]:
        measures, found = self.measures, []
        if measures.cut_short:
            found.append(self._cut_short())
        lag, late = measures.lag.percentile(99), measures.late.percentile(99)
        if late > _LATE_SECONDS:
            found.append(
                f"the generator let messages out late (p99 {told(late)}, "
                f"longest {told(measures.late.longest)}), and latency counts from when they were "
                "due: give it processes, or a machine of its own"
            )
        elif lag > _LATE_SECONDS:
            found.append(
                f"the generator was late itself (p99 {told(lag)}): give it processes, or a machine of its own"
            )
        busy = measures.cpu / measures.elapsed / self.plan.processes if measures.elapsed else 0
        if busy > _BUSY:
            found.append(f"the generator used {busy:.0%} of a core per process: give it more processes")
        if (others := self.others or 0.0) > _OTHERS_CORES:
            found.append(
                f"other programs kept {others:.2f} cores of this machine busy, which the service did not have"
            )
        return found

    def _of_messages(self) -> list[str]:
        measures, found = self.measures, []
        if measures.faults.lost:
            found.append(
                f"{measures.faults.lost} of {measures.sent} messages had no answer "
                f"within {self.plan.drain:g} s of the end; durations are those of the answers that came"
            )
        held = self.held_back
        if held is not None and self.hides_a_stall:
            found.append(
                "while answers were long in coming, sessions sent nothing: with the messages so held back "
                f"p99 is {told(held.percentile(99))}; an open loop (--rate) measures it"
            )
        if not self.plan.echo:
            found.append(_UNATTRIBUTED + _CHECKED_INSTEAD[self.plan.protocol])
        if measures.unshaped:
            found.append(
                f"{measures.unshaped} answers had not the shape {{id, msg, timestamp}}; "
                "each was taken for the answer to the oldest message without one"
            )
        if refused := sum(measures.errors[code] for code in REFUSALS):
            found.append(f"the service refused {refused} messages for its limits; {HOW}")
        if measures.unread:
            found.append(
                f"{measures.unread} histories could not be read, and were not checked: {measures.unread_why}"
            )
        if measures.only_in_history:
            found.append(f"{measures.only_in_history} answers came on no socket; the history has them")
        return found

    def _of_sockets(self) -> list[str]:
        measures, found = self.measures, []
        if measures.unopened:
            found.append(f"{measures.unopened} sessions could not be opened: {measures.why}")
        if measures.dropped:
            found.append(f"the service closed or broke {measures.dropped} sockets")
        idle = measures.idle
        if idle.opened < idle.asked:
            found.append(
                f"{idle.asked - idle.opened} of {idle.asked} idle sockets could not be opened: {idle.why}"
            )
        if idle.kept < idle.opened:
            found.append(f"{idle.opened - idle.kept} idle sockets did not stay open")
        return found

    def _cut_short(self) -> str:
        measures, plan = self.measures, self.plan
        whole = f" of {plan.duration:g} s" if plan.duration else ""
        ended = f"the test was cut short after {measures.elapsed:.1f} s{whole}"
        if not measures.unfinished:
            return ended
        return f"{ended}; for {measures.unfinished} messages on their way it did not wait"
