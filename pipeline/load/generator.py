"""All sessions of a test: in this process, or shared out over several."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Callable

import aiohttp
import uvloop

from pipeline.load.arrivals import arrivals
from pipeline.load.measures import Measures
from pipeline.load.plan import Plan
from pipeline.load.talker import PROTOCOL, Talker

# Seconds between looks at how late our own event loop is.
_LAG_INTERVAL = 0.05
# Sockets that are opened at the same time: more would only wait in the server's backlog.
_OPENING = 64

Watch = Callable[[Measures], None]


async def run(plan: Plan, watch: Watch | None = None) -> Measures:
    """Run a test with as many processes as it says, and return what was measured.

    Args:
        watch: gets the measures so far, again and again; with several processes only when they have ended.

    Cancelling it ends the sessions; what they measured by then has been given to `watch`.
    """
    shares = plan.shares()
    if len(shares) == 1:
        return await _Test(shares[0]).run(watch)
    total = Measures()
    total.merge(await asyncio.gather(*map(_elsewhere, shares)))
    if watch is not None:
        watch(total)
    return total


class _Test:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._measures = Measures()
        self._started = time.monotonic()
        self._chance = random.Random(plan.seed)

    async def run(self, watch: Watch | None) -> Measures:
        plan, measures = self._plan, self._measures
        cpu = time.process_time()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        connector = aiohttp.TCPConnector(limit=0)
        lag = asyncio.create_task(self._measure_lag(watch))
        async with aiohttp.ClientSession(plan.url, connector=connector, timeout=timeout) as http:
            idle = await self._open_idle(http)
            self._started = time.monotonic()
            talkers = [
                Talker(plan.seed * 100_000 + number, plan, http, measures, self._clock)
                for number in range(plan.sessions)
            ]
            try:
                if plan.mode == "open":
                    await self._open_loop(talkers)
                else:
                    await asyncio.gather(*map(self._closed_loop, range(len(talkers)), talkers))
            finally:
                sent_until = self._clock()
                await asyncio.gather(*(talker.finish() for talker in talkers))
                last = max(measures.seconds, default=0)
                measures.elapsed = max(min(self._clock(), last + 1.0), min(sent_until, self._clock()), 1e-9)
                measures.idle_open = sum(not socket.closed for socket in idle)
                for talker in talkers:
                    measures.faults.add(talker.ledger.faults)
                    measures.errors.update(talker.ledger.errors)
                lag.cancel()
                await asyncio.gather(lag, return_exceptions=True)
                await asyncio.gather(*(socket.close() for socket in idle))
        measures.cpu = time.process_time() - cpu
        return measures

    def _clock(self) -> float:
        return time.monotonic() - self._started

    async def _closed_loop(self, number: int, talker: Talker) -> None:
        plan = self._plan
        await asyncio.sleep(plan.ramp * number / plan.sessions)
        if not await self._opened(talker):
            return
        for count in itertools.count(1):
            if plan.duration and self._clock() >= plan.duration:
                return
            await talker.say(self._clock())
            # A message that gets no end must not hold up the test: it is counted as lost in the end.
            left = plan.duration - self._clock() if plan.duration else 0.0
            if not await talker.answered_within(max(left, 0.0) + plan.drain) or count == plan.messages:
                return

    async def _open_loop(self, talkers: list[Talker]) -> None:
        plan = self._plan
        opened = await asyncio.gather(*map(self._opened, talkers))
        ready = [talker for talker, is_open in zip(talkers, opened, strict=True) if is_open]
        if not ready:
            return
        self._started = time.monotonic()
        limit = plan.messages * len(ready) if plan.messages else None
        dues = arrivals(rate=plan.rate, ramp=plan.ramp, poisson=plan.arrivals == "poisson", seed=plan.seed)
        for talker, due in zip(itertools.cycle(ready), itertools.islice(dues, limit), strict=False):
            if plan.duration and due >= plan.duration:
                return
            await asyncio.sleep(due - self._clock())
            await talker.say(due)

    async def _opened(self, talker: Talker) -> bool:
        try:
            await talker.open()
        except (aiohttp.ClientError, OSError) as exc:
            self._measures.unopened += 1
            self._measures.why = self._measures.why or str(exc)
            return False
        return True

    async def _open_idle(self, http: aiohttp.ClientSession) -> list[aiohttp.ClientWebSocketResponse]:
        places = asyncio.Semaphore(_OPENING)

        async def one() -> aiohttp.ClientWebSocketResponse:
            async with places:
                async with http.post("/token", params={"name": "idle"}) as response:
                    response.raise_for_status()
                    token = (await response.json())["token"]
                return await http.ws_connect("/chat", params={"token": token}, protocols=(PROTOCOL,))

        return await asyncio.gather(*(one() for _ in range(self._plan.idle)))

    async def _measure_lag(self, watch: Watch | None) -> None:
        for count in itertools.count(1):
            due = time.monotonic() + _LAG_INTERVAL
            await asyncio.sleep(_LAG_INTERVAL)
            self._measures.lag.add(max(0.0, time.monotonic() - due))
            if watch is not None and count % 10 == 0:
                self._measures.elapsed = self._clock()
                watch(self._measures)


async def _elsewhere(plan: Plan) -> Measures:
    """Run a plan in a process of its own.

    Raises:
        ChildProcessError: it ended without a result.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await process.communicate(plan.dumps().encode())
    except asyncio.CancelledError:
        if process.returncode is None:
            process.terminate()
        raise
    if process.returncode:
        raise ChildProcessError(f"a generator ended with status {process.returncode}")
    return Measures.from_json(json.loads(out))


def main() -> None:
    """Run the plan on standard input; write the measures to standard output."""
    measures = uvloop.run(run(Plan.loads(sys.stdin.read())))
    sys.stdout.write(json.dumps(measures.to_json()))


if __name__ == "__main__":
    main()
