"""Settings that Faust's documentation names, by what they do here."""

from __future__ import annotations

from faust_redis.testing import wait_until
from tests.conformance.conftest import Lab, Send


async def test_latest_leaves_out_what_was_there_before(lab: Lab, send: Send, settings_program: None) -> None:
    for topic in ("latest", "latest-log"):
        await send(topic, "new", partition=0)

    for topic in ("latest", "latest-log"):
        wait_until(lambda topic=topic: "new" in lab.notes(topic), "what is new")  # type: ignore[misc]
        assert "old" not in lab.notes(topic)


async def test_a_partitioner_and_publishing_on_commit_are_obeyed(
    lab: Lab, send: Send, settings_program: None
) -> None:
    await send("latest", "to be forwarded", partition=0)

    wait_until(lambda: ["to be forwarded", 3] in lab.notes("forwarded"), "the event in the next topic")


async def test_what_is_older_than_its_retention_goes(lab: Lab, send: Send, settings_program: None) -> None:
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
