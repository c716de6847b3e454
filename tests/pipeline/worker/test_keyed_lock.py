"""Many sessions at the same time, each of them in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from pipeline.worker.keyed_lock import _locks, in_order


@dataclass(frozen=True)
class Event:
    """The part of Faust's event that is used."""

    key: bytes


class Agent:
    """Handles events, and notes which were begun and which are done."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.go_on: dict[str, asyncio.Event] = {}

    async def handle(self, name: str) -> None:
        """Handle `name`, an event whose key is its first letter, once it may go on."""
        event: Any = Event(name[:1].encode())
        self.go_on[name] = asyncio.Event()
        async with in_order(event):
            self.begun.append(name)
            await self.go_on[name].wait()
            self.done.append(name)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_events_of_one_key_go_one_after_the_other_and_others_do_not_wait_for_them() -> None:
    agent = Agent()
    tasks = [asyncio.create_task(agent.handle(name)) for name in ("a1", "a2", "b1", "a3")]
    await settle()
    assert agent.begun == ["a1", "b1"]
    for name in ("b1", "a3", "a2", "a1"):
        agent.go_on[name].set()
    await asyncio.gather(*tasks)
    assert [name for name in agent.done if name[0] == "a"] == ["a1", "a2", "a3"]


async def test_one_that_is_cancelled_while_it_waits_lets_nobody_overtake() -> None:
    agent = Agent()
    tasks = [asyncio.create_task(agent.handle(name)) for name in ("a1", "a2", "a3")]
    await settle()
    tasks[1].cancel()
    await settle()
    assert agent.begun == ["a1"]
    agent.go_on["a1"].set()
    agent.go_on["a3"].set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert agent.done == ["a1", "a3"]


async def test_nothing_is_kept_of_a_key_that_nobody_works_on() -> None:
    agent = Agent()
    task = asyncio.create_task(agent.handle("a1"))
    await settle()
    assert b"a" in _locks
    agent.go_on["a1"].set()
    await task
    assert b"a" not in _locks
