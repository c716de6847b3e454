"""The messages that arrive together: handled together, and alone only where that is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from faust_redis import REDELIVERY_HEADER
from pipeline.chat.records import Turn
from pipeline.settings import Settings
from pipeline.worker.batches import Batch, run_batch
from pipeline.worker.replays import REPLAYED_HEADER
from pipeline.worker.stage import Stage


@dataclass
class Message:
    """The part of Faust's message that is used."""

    topic: str = "enrich"
    partition: int = 0
    offset: int = 0


@dataclass
class Consumer:
    failed: list[str] = field(default_factory=list)

    def fail(self, message: Message, error: BaseException) -> None:
        self.failed.append(f"{message.offset}: {error}")

    def reject(self, message: Message, error: BaseException) -> None:
        raise AssertionError(f"{message} was rejected")


@dataclass(eq=False)
class App:
    consumer: Consumer = field(default_factory=Consumer)


@dataclass(eq=False)
class Event:
    """The part of Faust's event that is used."""

    value: Turn
    key: bytes
    app: App
    message: Message
    headers: dict[str, bytes] = field(default_factory=dict)


class Lab:
    """Runs a batch, and notes which messages were handled together."""

    def __init__(self) -> None:
        self.app = App()
        self.together: list[str] = []
        self.bad: set[str] = set()
        self.given_up: list[str] = []

    async def run(self, *names: str, **headers: dict[str, bytes]) -> list[str]:
        """Handle messages, each named by its session's letter and a number."""
        events = [
            Event(Turn(token=name[0], turn=name), name[0].encode(), self.app, Message(offset=at))
            for at, name in enumerate(names)
        ]
        for event in events:
            event.headers = headers.get(event.value.turn, {})
        stage = Stage.create("enrich", Settings())
        await run_batch(stage, events, self.handle, self.give_up)
        await stage.redis.aclose()
        return self.together

    async def handle(self, batch: Batch[Turn]) -> None:
        names = [turn.turn for turn, _ in batch.received]
        self.together.append(" ".join(names))
        if bad := self.bad.intersection(names):
            raise ValueError(f"bad: {sorted(bad)}")

    async def give_up(self, turn: Turn, entry: str) -> None:
        self.given_up.append(f"{turn.turn} {entry}")


async def test_messages_of_different_sessions_are_handled_together() -> None:
    lab = Lab()
    assert await lab.run("a1", "b1", "c1") == ["a1 b1 c1"]


async def test_a_session_has_one_message_at_a_time_in_the_order_of_arrival() -> None:
    lab = Lab()
    assert await lab.run("a1", "b1", "a2", "a3", "b2") == ["a1 b1", "a2", "a3 b2"]


async def test_only_the_message_that_fails_alone_has_failed() -> None:
    lab = Lab()
    lab.bad = {"b1"}
    assert await lab.run("a1", "b1", "c1") == ["a1 b1 c1", "a1", "b1", "c1"]
    assert lab.app.consumer.failed == ["1: bad: ['b1']"]
    assert lab.given_up == []


async def test_a_message_is_given_up_under_the_name_of_its_entry_after_its_last_attempt() -> None:
    lab = Lab()
    lab.bad = {"b1"}
    await lab.run("a1", "b1", b1={REDELIVERY_HEADER: b"4"})
    assert lab.app.consumer.failed == ["1: bad: ['b1']"]
    assert lab.given_up == ["b1 enrich:0:1"]


@pytest.mark.parametrize("header", [REDELIVERY_HEADER, REPLAYED_HEADER])
async def test_a_message_that_failed_or_was_replayed_is_handled_alone(header: str) -> None:
    lab = Lab()
    lab.bad = {"b1"} if header == REPLAYED_HEADER else set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.worker.stage.revive", _open)
        assert await lab.run("a1", "b1", "c1", b1={header: b"1"}) == ["a1", "b1", "c1"]


async def _open(*_args: Any) -> bool:
    return True
