"""`parley load --find`, against services of known capacity."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley.loadtest.capacity import CapacitySearch
from parley.loadtest.kills import Kills, killing
from parley.loadtest.plan import LoadPlan
from tests.parley.loadtest.fake_service import Socket, answer, fake_service


class Limited:
    """Answers a number of messages per second, and refuses those that would wait for more than 0.2 s."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.free = 0.0

    async def __call__(self, socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        async for message in socket.messages():
            now = loop.time()
            if self.free > now + 0.2:
                await socket.tell({"type": "error", "code": "busy", "id": message["id"]})
                continue
            self.free = max(now, self.free) + 1 / self.rate
            await asyncio.sleep(self.free - now)
            await socket.tell(answer(message["id"], message["text"]))


async def test_the_capacity_of_a_service_is_found() -> None:
    async with fake_service(Limited(60)) as service:
        plan = LoadPlan(service.url, rate=40, duration=1.0, drain=3.0, echo=True)
        search = CapacitySearch(plan, {"max_p99": 1.0}, precision=0.2)
        ended: list[float] = []
        await search.run(lambda trial: ended.append(trial.rate))

    assert 45 <= search.search.sustained <= 75
    assert len(ended) == len(search.trials)


async def test_a_search_that_is_ended_early_keeps_its_verdicts() -> None:
    stop = asyncio.Event()
    async with fake_service(Limited(1000)) as service:
        plan = LoadPlan(service.url, rate=20, duration=0.5, drain=3.0, echo=True)
        search = CapacitySearch(plan, {"max_p99": 1.0}, precision=0.2)
        await search.run(lambda _: stop.set(), stop=stop)

    assert search.cut_short == "it was ended early"
    assert search.search.sustained == 20


@asynccontextmanager
async def sleeper() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_processes_are_killed_again_and_again_while_a_test_runs() -> None:
    async with sleeper() as one, sleeper() as two:
        left = {one.pid: one, two.pid: two}

        def processes(kind: str) -> list[int]:
            assert kind == "infer"
            return [pid for pid, each in left.items() if each.returncode is None]

        async with killing(Kills("infer", 0.01), processes) as killed:
            statuses = await asyncio.gather(one.wait(), two.wait())

    assert list(statuses) == [-9, -9]
    assert killed == [one.pid, two.pid]
    assert os.getpid() not in killed
