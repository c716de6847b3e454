"""Settings that Faust's documentation names, by what they do here."""

from __future__ import annotations

import pytest

from faust_redis.testing import wait_until
from tests.conformance.conftest import Lab, Send


@pytest.fixture
async def program(lab: Lab, send: Send) -> None:
    """Start the program once its topics hold something already."""
    if not lab.workers:
        for topic in ("latest", "latest-log"):
            for partition in range(8):
                await send(topic, "old", partition=partition)
        lab.start("settings", partitions=8)
        # What comes before the group is made on a partition counts as old.
        wait_until(lambda: lab.redis.xinfo_groups("{latest:0}"), "the group")


async def test_latest_leaves_out_what_was_there_before(lab: Lab, send: Send, program: None) -> None:
    for topic in ("latest", "latest-log"):
        await send(topic, "new", partition=0)

    assert lab.wait_notes("latest", 1) == lab.wait_notes("latest-log", 1) == ["new"]


async def test_a_partitioner_and_publishing_on_commit_are_obeyed(lab: Lab, program: None) -> None:
    assert lab.wait_notes("forwarded", 1) == [["new", 3]]


async def test_what_is_older_than_its_retention_goes(lab: Lab, send: Send, program: None) -> None:
    await send("transient", 1, partition=0)
    for key in ("a", "b"):
        await send("closes", "", key=key, partition=1)
    lab.wait_notes("transient", 1)
    lab.wait_notes("closes", 2)

    def left() -> int:
        changelog = "{settings-closing-changelog:1}"
        return (
            lab.redis.xlen("{transient:0}") + lab.redis.xlen(changelog) + lab.redis.hlen(f"{changelog}:index")
        )

    wait_until(lambda: left() == 0, "all entries to go", 40)
