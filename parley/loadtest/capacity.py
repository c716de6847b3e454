"""Find the capacity of a service: the highest rate that keeps its objectives, by trials of one rate each."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from parley.loadtest.generator import Watch
from parley.loadtest.plan import LoadPlan
from parley.loadtest.processes import run
from parley.loadtest.search import RateSearch
from parley.loadtest.trial import Trial, judged

# Sessions of a trial, whatever its rate.
_LEAST_SESSIONS = 10
# More sessions could not be opened in reasonable time before each trial.
_MOST_SESSIONS = 5000
# Messages of a trial; its percentiles would mean nothing with fewer.
_LEAST_MESSAGES = 20


@dataclass(frozen=True)
class Capacity:
    """The outcome of a search.

    Attributes:
        service: the tested service, in words.
        plan: the plan of a trial; its rate is the first that was tried.
        bounds: the objectives, by name.
        trials: all trials, in the order they ran.
        sustained: the highest rate that passed, in messages per second; 0 without one.
        failing: the lowest rate that failed; infinity without one.
        cut_short: why the search ended early; empty if it did not.
        killed: processes of the service that were killed on purpose.
        command: the command line that repeats the search.
    """

    service: str
    plan: LoadPlan
    bounds: Mapping[str, float]
    trials: Sequence[Trial]
    sustained: float
    failing: float
    finished: datetime
    cut_short: str = ""
    killed: int = 0
    command: str = "parley load --find"


class CapacitySearch:
    """Runs the trials of a search.

    Attributes:
        search: the rates and their verdicts.
        trials: all trials that ended.
        cut_short: why the search ended early; empty if it did not.
        url: the address of the service.
        sessions: sessions of each trial; None for as many as its rate needs.
    """

    def __init__(
        self, plan: LoadPlan, bounds: Mapping[str, float], *, precision: float, sessions: int | None = None
    ) -> None:
        """Prepare a search that begins with the rate of the plan.

        Args:
            bounds: the objectives, by name, see ``parley.loadtest.bounds``.
            precision: the width of the result, as a share of it.
            sessions: of each trial; None for as many as its rate needs.
        """
        self.search = RateSearch(plan.rate, precision, min(plan.rate, _LEAST_MESSAGES / plan.duration))
        self.trials: list[Trial] = []
        self.cut_short = ""
        self.url = plan.url
        self.sessions = sessions
        self._plan = plan
        self._bounds = bounds

    async def run(
        self, ended: Callable[[Trial], None], watch: Watch | None = None, stop: asyncio.Event | None = None
    ) -> None:
        """Run trials until the search is over.

        Args:
            ended: called with each trial that has ended.
            watch: called repeatedly with the measurements of the current trial.
            stop: ends the search, and the current trial without a verdict, when it is set.

        Cancelling it ends the current trial at once, and keeps the verdicts so far.
        """
        stop = stop or asyncio.Event()
        while (rate := self.search.next_rate()) is not None and not self.cut_short:
            plan = self.plan_of(rate)
            trial = judged(plan, await run(plan, watch, stop), self._bounds)
            if stop.is_set():
                self.cut_short = "it was ended early"
                return
            self.trials.append(trial)
            ended(trial)
            if trial.is_void:
                self.cut_short = (
                    f"the generator could not send {rate:g} messages per second in time: give it more "
                    "--processes, or a machine of its own"
                )
            else:
                self.search.record(rate, passed=trial.passed)

    def plan_of(self, rate: float) -> LoadPlan:
        """Return the plan of the next trial.

        A session has one answer at a time, so a rate needs as many sessions as messages are open at the
        longest latency that the objectives allow.
        """
        longest = self._bounds.get("max_p99", self._plan.slo)
        needed = max(_LEAST_SESSIONS, min(_MOST_SESSIONS, math.ceil(rate * longest)))
        return replace(
            self._plan,
            url=self.url,
            mode="open",
            rate=rate,
            sessions=self.sessions or max(needed, self._plan.processes),
            seed=self._plan.seed + len(self.trials),
        )
