"""The figures of a day in Redis."""

from __future__ import annotations

import os
import time

import pytest
from redis.asyncio import Redis

from faust_redis.redis import execute
from faust_redis.testing import eventually
from faust_redis.watching import RecordedHistory, Recorder, StageState, recorded, weight_of
from faust_redis.watching.recorded import MOMENT_BYTES, TIERS, MomentTooLargeError, Tier

PREFIX = "faust:{watch}:history"


async def next_interval(seconds: float) -> None:
    until = time.time() + seconds
    await eventually(lambda: time.time() > until, "the next interval")


async def test_a_moment_is_found_by_its_time_and_by_no_other(streams: Redis) -> None:
    history = RecordedHistory(streams, PREFIX, "a")
    assert await history.at(time.time()) is None
    assert await history.record(b"calm", 7)
    now = time.time() + 1
    moment = await history.at(now)
    assert moment is not None
    assert (moment.content, moment.weight, moment.interval) == (b"calm", 7, 10)
    assert moment.at == pytest.approx(now, abs=5)
    assert await history.at(now - 60) is None
    assert await history.at(now + 600) is not None, "a coarse tier stands for ten minutes"


async def test_a_tier_keeps_the_most_urgent_moment_of_each_interval(
    streams: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "TIERS", (Tier(0.05, 100.0), Tier(3600.0, 86400.0)))
    history = RecordedHistory(streams, PREFIX, "a")
    contents = [b"idle", b"stalled", b"slow", b"working"]
    weights = [weight_of([StageState(content.decode())], 5) for content in contents]
    since = time.time() - 1
    for content, weight in zip(contents, weights, strict=True):
        await history.record(content, weight)
        await next_interval(0.06)

    fine = await history.between(since, time.time() + 1, time.time())
    assert [moment.content for moment in fine] == contents
    coarse = await history.between(time.time() - 3000, time.time() + 1, time.time() + 7000)
    assert [moment.content for moment in coarse][-1:] == [b"stalled"]
    assert len(coarse) <= 2, "the test may run over the end of an hour"


async def test_old_moments_go_and_those_of_a_clock_that_was_set_back(
    streams: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "TIERS", (Tier(0.02, 0.3),))
    history, key = RecordedHistory(streams, PREFIX, "a"), f"{PREFIX}:0.02s"
    future = (time.time() + 5000) * 1000
    await streams.zadd(key, {f"9 {future:.0f} x": future})

    async def writes() -> bool:
        await history.record(os.urandom(8), 1)
        return await streams.zcard(key) >= 5

    await eventually(writes, "some moments")
    assert await streams.zcount(key, (time.time() + 1) * 1000, "+inf") == 0
    oldest = time.time()

    async def are_gone() -> bool:
        await history.record(b"", 1)
        return await streams.zcount(key, "-inf", (oldest - 0.3) * 1000) == 0

    await eventually(are_gone, "the old ones to go")
    assert await streams.zcard(key) <= 17


async def test_one_process_writes_until_it_leaves(streams: Redis) -> None:
    first, second = (Recorder(RecordedHistory(streams, PREFIX, name)) for name in "ab")
    await first.offer([b"of a"], 1)
    await second.offer([b"of b"], 2)
    assert (first.is_writer, second.is_writer) == (True, False)
    moment = await first.history.at(time.time() + 1)
    assert moment is not None
    assert moment.content == b"of a"
    assert 0 < await streams.pttl(f"{PREFIX}:lease") <= 30_000

    await second.stop()  # is not the writer
    await first.offer([b"of a"], 1)
    assert first.is_writer
    await first.stop()
    await second.offer([b"of b"], 1)
    assert second.is_writer
    await first.offer([b"of a"], 1)
    assert not first.is_writer


async def test_a_day_takes_less_than_seven_mebibytes(streams: Redis) -> None:
    assert sum(tier.moments for tier in TIERS) == 867
    history = RecordedHistory(streams, PREFIX, "a")
    with pytest.raises(MomentTooLargeError, match="at most 8000"):
        await history.record(os.urandom(MOMENT_BYTES + 100), 1)
    now = time.time() * 1000
    for tier in TIERS:
        moments = {
            b"1 %013d " % (now - number) + os.urandom(MOMENT_BYTES): now - number
            for number in range(tier.moments)
        }
        await streams.zadd(f"{PREFIX}:{tier.interval:g}s", moments)
    sizes = [await streams.memory_usage(f"{PREFIX}:{tier.interval:g}s", samples=0) for tier in TIERS]
    assert sum(size or 0 for size in sizes) < 7 * 2**20


async def test_less_detail_is_recorded_of_a_moment_that_is_too_large(streams: Redis) -> None:
    recorder = Recorder(RecordedHistory(streams, PREFIX, "a"))
    await recorder.offer([os.urandom(2 * MOMENT_BYTES), b"less"], 1)
    moment = await recorder.history.at(time.time() + 1)
    assert moment is not None
    assert moment.content == b"less"
    assert not recorder.is_due()


async def test_a_user_without_the_right_records_nothing_and_raises_nothing(
    streams: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await execute(streams, "ACL", "SETUSER", "reader", "on", "nopass", "~*", "+@read", "+evalsha", "+script")
    kwargs = streams.connection_pool.connection_kwargs
    reader = Redis(host=kwargs["host"], port=kwargs["port"], username="reader", password="x")
    recorder = Recorder(RecordedHistory(reader, PREFIX, "a"))
    await recorder.offer([b"x"], 1)
    assert not recorder.is_writer
    assert "refuses to record" in caplog.text
    assert not recorder.is_due()
    await reader.aclose()
