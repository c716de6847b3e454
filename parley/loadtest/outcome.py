"""Hold the outcome of a load test, with the doubts about its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from parley.loadtest.bounds import EXIT_BROKEN, EXIT_FAULT, EXIT_NOTHING, Verdict, span_text
from parley.loadtest.histogram import LatencyHistogram
from parley.loadtest.lifting import HOW, REFUSAL_CODES
from parley.loadtest.measures import Measures
from parley.loadtest.model import Pace
from parley.loadtest.plan import LoadPlan
from parley.loadtest.samples import Spell, together
from parley.loadtest.usage import ProcessUsage

# Above these values the figures may be those of the generator instead of the service.
_LATE_SECONDS = 0.02
_BUSY = 0.85
# Cores that other programs may use before they distort the figures.
_OTHERS_CORES = 0.2
# A closed loop hides a stall if messages that were held back make the 99th percentile this many times longer.
_HIDDEN = 2.0

# The checks that remain when answers do not repeat the marks of their messages.
_UNATTRIBUTED = (
    "the model does not repeat the messages (see --echo), so the texts of answers were not checked; "
    "checked were "
)
_CHECKED_INSTEAD = {
    "streaming": "their turns, their order, and their place in the history",
    "openai": "that each message has one answer, which is complete",
    "described": "that each message has one answer, in the order of the messages",
    "plain": "their number, and that the history has them in the order received, each behind its message",
}


@dataclass(frozen=True)
class LoadOutcome:
    """A finished test.

    Attributes:
        service: the tested service, in words.
        spells: the usage of processes, one spell after the other.
        pace: the pace of the model; None if it is not ours.
        command: the command line that repeats the test.
        killed: processes of the service that were killed on purpose.
    """

    plan: LoadPlan
    measures: Measures
    verdicts: Sequence[Verdict]
    service: str
    finished: datetime
    spells: Sequence[Spell] = ()
    pace: Pace | None = None
    command: str = "parley load"
    killed: int = 0

    @property
    def passed(self) -> bool:
        """Whether all bounds were kept and there was no fault."""
        return all(verdict.kept for verdict in self.verdicts)

    @property
    def status(self) -> int:
        """The exit status of ``parley load``."""
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
    def busy(self) -> float:
        """Cores of this machine that were busy while the load had its full size; 0 if that is unknown."""
        # The first and the last spell may begin before the load or end after it.
        spell = together(self.spells[1:-1] or self.spells)
        return spell.machine / spell.seconds if spell.seconds else 0.0

    @property
    def processes(self) -> Mapping[str, ProcessUsage]:
        """The resources used by the service and the test; empty when the service runs elsewhere."""
        used = self.used.used
        return used if len(used) > 1 else {}

    @property
    def others(self) -> float | None:
        """Cores that all other programs of this machine kept busy; None if that could not be measured."""
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
                f"the generator sent messages late (p99 {span_text(late)}, "
                f"longest {span_text(measures.late.longest)}), and latency counts from the time they were "
                "due: give it more --processes, or a machine of its own"
            )
        elif lag > _LATE_SECONDS:
            found.append(
                f"the generator itself was late (p99 {span_text(lag)}): give it more --processes, "
                "or a machine of its own"
            )
        if measures.busiest > _BUSY:
            found.append(
                f"a process of the generator used {measures.busiest:.0%} of a core: give it more --processes"
            )
        if (others := self.others or 0.0) > _OTHERS_CORES:
            found.append(
                f"other programs kept {others:.2f} cores of this machine busy, which the service lacked"
            )
        return found

    def _of_messages(self) -> list[str]:
        measures, found = self.measures, []
        if measures.faults.lost:
            found.append(
                f"{measures.faults.lost} of {measures.sent} messages had no answer "
                f"within {self.plan.drain:g} s of the end; the durations are those of all other answers"
            )
        held = self.held_back
        if held is not None and self.hides_a_stall:
            found.append(
                "sessions sent no messages while they waited for slow answers; with the messages held back "
                f"p99 is {span_text(held.percentile(99))}; an open loop (--rate) measures it"
            )
        if not self.plan.echo:
            found.append(_UNATTRIBUTED + _CHECKED_INSTEAD[self.plan.protocol])
        if measures.unshaped:
            found.append(
                f"{measures.unshaped} answers did not have the shape {{id, msg, timestamp}}; "
                "each was counted as the answer to the oldest open message"
            )
        if refused := sum(measures.errors[code] for code in REFUSAL_CODES):
            found.append(f"the service refused {refused} messages because of its limits; {HOW}")
        if measures.unread:
            found.append(
                f"{measures.unread} histories could not be read and were not checked: {measures.unread_why}"
            )
        if measures.only_in_history:
            found.append(f"{measures.only_in_history} answers came on no socket, but are in the history")
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
        return f"{ended}; {measures.unfinished} messages had no answer by then"
