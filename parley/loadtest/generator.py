"""Run all sessions of one process, and collect their measurements."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from parley.loadtest.arrivals import arrivals
from parley.loadtest.closed_loop import ClosedLoop
from parley.loadtest.completions_user import CompletionsUser
from parley.loadtest.described_user import DescribedUser
from parley.loadtest.histogram import LatencyHistogram
from parley.loadtest.lifting import HOW
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan, Protocol
from parley.loadtest.socket_user import SocketUser
from parley.loadtest.virtual_user import UserContext, VirtualUser

# Seconds between measurements of the lag of our own event loop.
_LAG_INTERVAL = 0.05
# Measurements of the lag between calls of ``watch``.
_LAGS_PER_WATCH = 10
# Maximum histories read at the same time, because they may be long.
_READING = 32
# Maximum sessions opened at the same time: more would only wait in the server's backlog.
_OPENING = 128
# Seconds to wait for a session to open, because a lost handshake must not block the test.
_OPEN_SECONDS = 30.0
# Seconds to wait for answers after the test was ended early, because its user is waiting, too.
_STOP_SECONDS = 2.0

# The class that speaks each protocol.
_USERS: Mapping[Protocol, type[VirtualUser]] = {
    "streaming": SocketUser,
    "plain": SocketUser,
    "openai": CompletionsUser,
    "described": DescribedUser,
}

Watch = Callable[[Measures], None]
Gate = Callable[[], Awaitable[object]]


async def generate(
    plan: LoadPlan, watch: Watch | None = None, stop: asyncio.Event | None = None, gate: Gate | None = None
) -> Measures:
    """Run a test in this process and return its measurements.

    Args:
        watch: called with the measurements so far, several times a second.
        stop: ends the test when it is set: no more messages are sent, and the answers that are still missing
            are awaited for a short time only.
        gate: awaited before the load begins, so that several processes begin together.

    Cancelling it closes the sockets; ``watch`` has then received the last measurements.
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
        # A server may close a kept connection at the moment it is used again, which would look like a lost
        # answer: requests for completions have connections of their own.
        connector = aiohttp.TCPConnector(limit=0, force_close=plan.protocol == "openai")
        lag = asyncio.create_task(self._measure_lag(watch))
        async with aiohttp.ClientSession(plan.base, connector=connector, timeout=timeout) as http:
            context = UserContext(plan, http, measures, self._clock)
            users: list[VirtualUser] = [
                _USERS[plan.protocol](plan.seed * 100_000 + number, context)
                for number in range(plan.sessions)
            ]
            try:
                await self._talk(users)
                sent_until = self._clock()
                await self._drain(users)
                last = max(measures.seconds, default=0)
                measures.elapsed = max(min(self._clock(), last + 1.0), min(sent_until, self._clock()), 1e-9)
                measures.cpu = time.process_time() - self._cpu
                measures.busiest = measures.cpu / measures.elapsed
                lag.cancel()  # reading histories makes this process late, which must not count
                await self._read_histories(users)
                for user in users:
                    user.settle()
            finally:
                lag.cancel()
                await asyncio.gather(lag, return_exceptions=True)
                await asyncio.gather(*(user.close() for user in users))
        return measures

    async def _talk(self, users: list[VirtualUser]) -> None:
        loop = self._open_loop if self._plan.mode == "open" else self._closed_loops
        await self._unless_stopped(loop(users))

    async def _begin(self) -> None:
        if self._gate is not None:
            await self._gate()
        # The clock shows negative seconds in the warm-up.
        self._measures.began = self._started = time.monotonic() + self._plan.warmup
        self._begin_to_measure()
        asyncio.get_running_loop().call_later(self._plan.warmup, self._begin_to_measure)

    def _begin_to_measure(self) -> None:
        self._cpu = time.process_time()
        self._measures.lag, self._measures.late = LatencyHistogram(), LatencyHistogram()

    async def _drain(self, users: list[VirtualUser]) -> None:
        """Wait for the missing answers, for the time in the plan, or shortly if the test was ended early."""
        missing = asyncio.gather(*(user.answered_within(self._plan.drain) for user in users))
        await self._unless_stopped(missing, patience=_STOP_SECONDS)

    async def _read_histories(self, users: list[VirtualUser]) -> None:
        places = asyncio.Semaphore(_READING)

        async def one(user: VirtualUser) -> None:
            async with places:
                await user.read_history()

        await self._unless_stopped(asyncio.gather(*map(one, users)), patience=_STOP_SECONDS)

    async def _unless_stopped(self, work: Awaitable[object], patience: float = 0.0) -> None:
        """Await ``work``, but not for longer than ``patience`` seconds after the test was stopped."""
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

    async def _closed_loops(self, users: list[VirtualUser]) -> None:
        await self._begin()
        await asyncio.gather(*map(self._closed_loop, range(len(users)), users))

    async def _closed_loop(self, number: int, user: VirtualUser) -> None:
        plan = self._plan
        await asyncio.sleep(plan.ramp * number / plan.sessions)
        if await self._opened(user):
            await ClosedLoop(user, plan, self._clock).run()

    async def _open_loop(self, users: list[VirtualUser]) -> None:
        plan = self._plan
        opened = await asyncio.gather(*map(self._opened, users))
        ready = [user for user, is_open in zip(users, opened, strict=True) if is_open]
        await self._begin()  # also without an open session, because other processes wait for this one
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
        for user, moment in zip(itertools.cycle(ready), itertools.islice(dues, limit), strict=False):
            due = moment - plan.warmup
            if plan.duration and due >= plan.duration:
                return
            await asyncio.sleep(due - self._clock())
            self._measures.late.add(max(0.0, self._clock() - due))
            user.send(due)

    async def _opened(self, user: VirtualUser) -> bool:
        try:
            async with self._places, asyncio.timeout(_OPEN_SECONDS):
                await user.open()
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
            # Before the load begins there is nothing to report.
            if watch is not None and self._measures.began and count % _LAGS_PER_WATCH == 0:
                self._measures.elapsed = max(0.0, self._clock())
                watch(self._measures)


def _reason(exc: Exception) -> str:
    match exc:
        case aiohttp.ClientResponseError(status=429):
            return f"{exc.request_info.url.path}: the service limits the rate of an address; {HOW}"
        case TimeoutError():
            return f"no answer within {_OPEN_SECONDS:g} s"
        case aiohttp.WSServerHandshakeError():
            return f"/chat: status {exc.status} instead of a WebSocket"
        case aiohttp.ClientResponseError():
            return f"{exc.request_info.url.path}: status {exc.status} {exc.message}".rstrip()
        case LookupError() | TypeError() | ValueError():
            return "/token: no JSON object with a token"
        case _:
            return str(exc) or type(exc).__name__
