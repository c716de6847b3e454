"""Groups of one partition that do whatever they like, in any order, and what must hold meanwhile."""

from __future__ import annotations

from typing import Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from faust_redis.log.keys import Keys
from faust_redis.redis import Script
from faust_redis.redis.scripts import ACK, FAIL, TAKE_OVER

KEYS = Keys()

TOPIC, PARTITION = "orders", 0
STREAM = KEYS.stream((TOPIC, PARTITION))
LEASE = "1:worker"


class Groups(RuleBasedStateMachine):
    """One partition of a work queue, read by several groups.

    Attributes:
        needed: what each group still has to ack, by its name.
        read: what each group has been given and has not acked.
    """

    client: redis.Redis
    groups = Bundle("groups")

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.needed: dict[str, set[int]] = {}
        self.read: dict[str, list[int]] = {}

    def kept(self) -> set[int]:
        entries: Any = self.client.xrange(STREAM)
        return {int(entry_id.partition(b"-")[2]) for entry_id, _ in entries}

    def script(self, script: Script, group: str, *rest: str, **arguments: str | int) -> Any:
        keys = [STREAM, KEYS.lease((TOPIC, PARTITION), group), KEYS.attempts((TOPIC, PARTITION), group)]
        if script is FAIL:
            keys.append(KEYS.dead((TOPIC, PARTITION)))
        if script in (FAIL, TAKE_OVER):
            keys.append(KEYS.suspects((TOPIC, PARTITION), group))
        _, _, *command = script.command(keys, *rest, group=group, **arguments)
        return self.client.execute_command("EVAL", script.text, *command)  # type: ignore[no-untyped-call]

    @rule(count=st.integers(1, 5))
    def send(self, count: int) -> None:
        """Messages arrive; every group needs them."""
        for _ in range(count):
            sent: Any = self.client.xadd(STREAM, {"v": "x"}, id="0-*")
            for needed in self.needed.values():
                needed.add(int(sent.partition(b"-")[2]))

    @rule(target=groups, number=st.integers(0, 3), from_now=st.booleans())
    def enter(self, number: int, from_now: bool) -> str:
        """A group's owner takes the partition over; a new group begins at the start, or now."""
        group = f"group-{number}"
        if group not in self.needed:
            self.needed[group] = set() if from_now else self.kept()
            self.read[group] = []
        taken = self.script(
            TAKE_OVER,
            group,
            member_id="worker",
            generation=1,
            start="0-0",
            page_size=1000,
            group_start="$" if from_now else "0",
            previous_died=0,
            replacing="*",
        )
        assert sorted(int(entry_id.partition(b"-")[2]) for entry_id in taken[1]) == sorted(self.read[group])
        return group

    @rule(group=groups, count=st.integers(1, 4))
    def deliver(self, group: str, count: int) -> None:
        """A group is given the next messages."""
        reply: Any = self.client.xreadgroup(group, "worker", {STREAM: ">"}, count=count)
        for _, entries in reply:
            self.read[group] += [int(entry_id.partition(b"-")[2]) for entry_id, _ in entries]

    @rule(group=groups, choice=st.data())
    def ack(self, group: str, choice: st.DataObject) -> None:
        """A group has done some of what it was given, in any order."""
        if self.read[group]:
            done = choice.draw(st.lists(st.sampled_from(self.read[group]), min_size=1, unique=True))
            self.script(ACK, group, *(f"0-{offset}" for offset in done), lease=LEASE, trimming=1)
            self.forget(group, done)

    @rule(group=groups, choice=st.data())
    def give_up(self, group: str, choice: st.DataObject) -> None:
        """A message is a dead letter for one group; the others still need it."""
        if self.read[group]:
            offset = choice.draw(st.sampled_from(self.read[group]))
            result = self.script(
                FAIL,
                group,
                lease=LEASE,
                entry_id=f"0-{offset}",
                allowed=1,
                error_text="error",
                kept_count=100,
                kept_ms=10_000,
            )
            assert result == [1, 1]
            self.forget(group, [offset])

    @rule(group=groups)
    def refuse(self, group: str) -> None:
        """A worker that has lost the partition acks everything it was given: nothing happens."""
        if self.read[group]:
            late = [f"0-{offset}" for offset in self.read[group]]
            assert self.script(ACK, group, *late, lease="0:another", trimming=1) == -1

    @invariant()
    def nothing_that_is_needed_is_gone(self) -> None:
        needed = set().union(*self.needed.values())
        assert needed <= self.kept()

    def forget(self, group: str, done: list[int]) -> None:
        self.needed[group].difference_update(done)
        self.read[group] = [offset for offset in self.read[group] if offset not in done]

    def teardown(self) -> None:
        """Once every group has done everything, nothing is left."""
        for group, needed in self.needed.items():
            self.client.xreadgroup(group, "worker", {STREAM: ">"}, count=10_000)
            if needed:
                self.script(ACK, group, *(f"0-{offset}" for offset in needed), lease=LEASE, trimming=1)
        if any(self.needed.values()):
            assert self.kept() == set()


def try_groups(url: str, examples: int) -> None:
    """Let groups do what they like on an empty Redis, so many times."""
    with redis.Redis.from_url(url) as client:
        Groups.client = client
        run_state_machine_as_test(
            Groups,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
