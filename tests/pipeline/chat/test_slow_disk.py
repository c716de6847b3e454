"""What a killed Redis keeps of what it confirmed while its disk was busy, by the setting of ``acks``."""

from __future__ import annotations

import signal

from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.results import Opened, Place
from pipeline.redis.client import connect
from pipeline.settings import Settings
from tests.pipeline.chat.talk import inbound
from tests.support.slow_disk import SlowDiskRedis


async def place_after_a_kill(server: SlowDiskRedis, query: str) -> Place:
    """Accept a message while an fsync runs, and kill Redis; return where the session holds it afterwards."""
    client = connect(server.url + query)
    try:
        sessions = RepairableSessions(client, Settings(redis_url=server.url))
        token = (await sessions.create("Ada"))["token"]
        await server.syncing()
        assert isinstance(await sessions.accept(inbound(token, "hi", "m-1")), Opened)
        await server.down(signal.SIGKILL, 0)
        found = await sessions.find(token, ["m-1"])
        assert found is not None
        return found.places["m-1"]
    finally:
        await client.aclose()


async def test_a_killed_redis_loses_what_it_confirmed_during_an_fsync(slow_redis: SlowDiskRedis) -> None:
    assert await place_after_a_kill(slow_redis, "") is Place.UNKNOWN


async def test_a_killed_redis_keeps_what_it_confirmed_with_acks_fsync(slow_redis: SlowDiskRedis) -> None:
    assert await place_after_a_kill(slow_redis, "&acks=fsync&acks_replicas=0") is Place.OPEN
