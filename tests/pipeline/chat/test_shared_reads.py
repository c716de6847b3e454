"""Long reads: one at a time for each session, shared, and never begun again because a caller left."""

from __future__ import annotations

import asyncio

import pytest

from faust_redis.testing import eventually
from pipeline.chat import shared_reads
from pipeline.chat.shared_reads import SharedReads


class Reader:
    """Counts its reads; each waits until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.running = 0
        self.most = 0
        self.let_go = asyncio.Event()

    async def read(self) -> int:
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.let_go.wait()
        finally:
            self.running -= 1
        return self.begun


async def test_those_who_ask_while_one_reads_share_the_next_read() -> None:
    reads, reader = SharedReads(), Reader()
    first = asyncio.create_task(reads.run("ada", "all", reader.read))
    await eventually(lambda: reader.begun == 1, "the first read")
    others = [asyncio.create_task(reads.run("ada", "all", reader.read)) for _ in range(50)]
    await asyncio.sleep(0)
    reader.let_go.set()

    assert await first in (1, 2)
    assert set(await asyncio.gather(*others)) == {2}
    assert reader.begun == 2


async def test_callers_who_leave_begin_no_further_reads() -> None:
    reads, reader = SharedReads(), Reader()
    for _ in range(30):
        caller = asyncio.create_task(reads.run("ada", "all", reader.read))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)

    assert reader.begun == 1
    reader.let_go.set()
    await reads.run("ada", "all", reader.read)
    assert reader.begun <= 3


async def test_reads_of_one_session_wait_for_each_other_and_leave_room_for_others() -> None:
    reads, reader = SharedReads(), Reader()
    mine = [asyncio.create_task(reads.run("ada", number, reader.read)) for number in range(20)]
    await eventually(lambda: reader.begun == 1, "one of twenty reads")
    other = asyncio.create_task(reads.run("eve", "all", reader.read))
    await eventually(lambda: reader.begun == 2, "the read of another session")
    reader.let_go.set()
    await asyncio.gather(*mine, other)

    assert reader.most == 2


async def test_a_process_reads_a_few_sessions_at_a_time() -> None:
    reads, reader = SharedReads(), Reader()
    all_of_them = [asyncio.create_task(reads.run(str(number), "all", reader.read)) for number in range(40)]
    await eventually(lambda: reader.running == shared_reads.AT_ONCE, "as many as may")
    reader.let_go.set()
    await asyncio.gather(*all_of_them)

    assert reader.most == shared_reads.AT_ONCE


async def test_a_read_that_fails_fails_for_those_who_share_it_and_is_tried_again() -> None:
    reads = SharedReads()

    async def fail() -> int:
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await reads.run("ada", "all", fail)


async def test_closing_ends_what_still_reads() -> None:
    reads, reader = SharedReads(), Reader()
    caller = asyncio.create_task(reads.run("ada", "all", reader.read))
    await eventually(lambda: reader.begun == 1, "the read")
    await reads.aclose()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert reader.running == 0
