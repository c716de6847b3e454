"""All sessions of one process: it opens them, has them talk, and collects what was measured."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import aiohttp

from parley.loadtest.arrivals import arrivals
from parley.loadtest.lifting import HOW
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan
from parley.loadtest.virtual_user import VirtualUser

# Seconds between looks at how late our own event loop is.
_LAG_INTERVAL = 0.05
# UsageSamples after which the watcher is told.
_LOOKS_PER_WATCH = 10
# Histories that are read at the same time: a service that is tested may hold long ones.
_READING = 32
# Sessions that are opened at the same time: more would only wait in the server's backlog.
_OPENING = 128
# Seconds that the service has to open one; without an end a handshake that it forgets would hold up the test.
_OPEN_SECONDS = 30.0
# Seconds that a test which is ended early waits for what is on its way: whoever ends it is waiting, too.
_PATIENCE = 2.0

Watch = Callable[[Measures], None]
Gate = Callable[[], Awaitable[object]]


async def generate(
    plan: LoadPlan, watch: Watch | None = None, stop: asyncio.Event | None = None, gate: Gate | None = None
) -> Measures:
    """Run a test in this process, and return what was measured.

    Args:
        watch: gets the measures so far, again and again.
        stop: when it is set, nothing more is sent, and what is on its way is waited for but shortly.
        gate: is waited for before the load begins, so that several processes begin together.

    Cancelling it closes the sockets and returns nothing; what was measured by then has been given to
    ``watch``.
    """
    return await _Test(plan, stop or asyncio.Event(), gate).run(watch)


class _Test:
    def __init__(self, plan: LoadPlan, stop: asyncio.Event, gate: Gate | None) -> None:
        self._plan = plan
        self._stop = stop
        self._gate = gate
        self._places = asyncio.Semaphore(_OPENING)
        self._measures = Measures()
        self._started = time.monotonic()
        self._cpu = time.process_time()

    async def run(self, watch: Watch | None) -> Measures:
        plan, measures = self._plan, self._measures
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        connector = aiohttp.TCPConnector(limit=0)
        lag = asyncio.create_task(self._measure_lag(watch))
        async with aiohttp.ClientSession(plan.base, connector=connector, timeout=timeout) as http:
            talkers = [
                VirtualUser(plan.seed * 100_000 + number, plan, http, measures, self._clock)
                for number in range(plan.sessions)
            ]
            try:
                await self._talk(talkers)
                sent_until = self._clock()
                await self._drain(talkers)
                last = max(measures.seconds, default=0)
                measures.elapsed = max(min(self._clock(), last + 1.0), min(sent_until, self._clock()), 1e-9)
                measures.cpu = time.process_time() - self._cpu
                lag.cancel()  # what follows keeps this process busy, and the service not
                await self._read_histories(talkers)
                for talker in talkers:
                    talker.settle()
            finally:
                lag.cancel()
                await asyncio.gather(lag, return_exceptions=True)
                await asyncio.gather(*(talker.close() for talker in talkers))
        return measures

    async def _talk(self, talkers: list[VirtualUser]) -> None:
        loop = self._open_loop if self._plan.mode == "open" else self._closed_loops
        await self._unless_stopped(loop(talkers))

    async def _begin(self) -> None:
        if self._gate is not None:
            await self._gate()
        self._measures.began = self._started = time.monotonic()
        self._cpu = time.process_time()

    async def _drain(self, talkers: list[VirtualUser]) -> None:
        """Wait for what is on its way: as long as the plan says, or shortly when the test is ended early."""
        missing = asyncio.gather(*(talker.answered_within(self._plan.drain) for talker in talkers))
        await self._unless_stopped(missing, patience=_PATIENCE)

    async def _read_histories(self, talkers: list[VirtualUser]) -> None:
        places = asyncio.Semaphore(_READING)

        async def one(talker: VirtualUser) -> None:
            async with places:
                await talker.read_history()

        await self._unless_stopped(asyncio.gather(*map(one, talkers)), patience=_PATIENCE)

    async def _unless_stopped(self, work: Awaitable[object], patience: float = 0.0) -> None:
        """Do something, but not for longer than ``patience`` seconds after the test was stopped."""
        doing = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((doing, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                self._measures.cut_short = True
                await asyncio.wait((doing,), timeout=patience)
            if doing.done():
                await doing
        finally:
            stopped.cancel()
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)

    def _clock(self) -> float:
        return time.monotonic() - self._started

    async def _closed_loops(self, talkers: list[VirtualUser]) -> None:
        await self._begin()
        await asyncio.gather(*map(self._closed_loop, range(len(talkers)), talkers))

    async def _closed_loop(self, number: int, talker: VirtualUser) -> None:
        plan = self._plan
        await asyncio.sleep(plan.ramp * number / plan.sessions)
        if not await self._opened(talker):
            return
        for count in itertools.count(1):
            if plan.duration and self._clock() >= plan.duration:
                return
            talker.say(self._clock())
            # A message that gets no end must not hold up the test: it is counted as lost in the end.
            left = plan.duration - self._clock() if plan.duration else 0.0
            if not await talker.answered_within(max(left, 0.0) + plan.drain) or count == plan.messages:
                return

    async def _open_loop(self, talkers: list[VirtualUser]) -> None:
        plan = self._plan
        opened = await asyncio.gather(*map(self._opened, talkers))
        ready = [talker for talker, is_open in zip(talkers, opened, strict=True) if is_open]
        await self._begin()  # also when none is open: others wait for this process
        if not ready:
            return
        limit = plan.messages * len(ready) if plan.messages else None
        dues = arrivals(
            rate=plan.rate,
            ramp=plan.ramp,
            poisson=plan.arrivals == "poisson",
            seed=plan.seed,
            phase=plan.phase,
        )
        for talker, due in zip(itertools.cycle(ready), itertools.islice(dues, limit), strict=False):
            if plan.duration and due >= plan.duration:
                return
            await asyncio.sleep(due - self._clock())
            self._measures.late.add(max(0.0, self._clock() - due))
            talker.say(due)

    async def _opened(self, talker: VirtualUser) -> bool:
        try:
            async with self._places, asyncio.timeout(_OPEN_SECONDS):
                await talker.open()
        except (aiohttp.ClientError, OSError, LookupError, TypeError, ValueError) as exc:
            self._measures.unopened += 1
            self._measures.why = self._measures.why or _reason(exc)
            return False
        return True

    async def _measure_lag(self, watch: Watch | None) -> None:
        for count in itertools.count(1):
            due = time.monotonic() + _LAG_INTERVAL
            await asyncio.sleep(_LAG_INTERVAL)
            self._measures.lag.add(max(0.0, time.monotonic() - due))
            # Before the load begins there is nothing to tell, and no second to tell it of.
            if watch is not None and self._measures.began and count % _LOOKS_PER_WATCH == 0:
                self._measures.elapsed = self._clock()
                watch(self._measures)


def _reason(exc: Exception) -> str:
    match exc:
        case aiohttp.ClientResponseError(status=429):
            return f"{exc.request_info.url.path}: the service limits what one address may do; {HOW}"
        case TimeoutError():
            return f"nothing came within {_OPEN_SECONDS:g} s"
        case aiohttp.WSServerHandshakeError():
            return f"/chat: status {exc.status} instead of a WebSocket"
        case aiohttp.ClientResponseError():
            return f"{exc.request_info.url.path}: status {exc.status} {exc.message}".rstrip()
        case LookupError() | TypeError() | ValueError():
            return "/token: no JSON object with a token"
        case _:
            return str(exc) or type(exc).__name__
