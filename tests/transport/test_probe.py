"""What the transport says about the Redis it finds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import redis

from pipeline.transport.errors import UnsupportedServerError
from pipeline.transport.probe import ServerFacts, complaints, describe, probe
from pipeline.transport.servers import server_at
from tests.support.redis_servers import HOST, RedisServer
from tests.support.waiting import wait_until
from tests.transport.conftest import StartWorker, send_numbers

SAFE = {"appendonly": "yes", "appendfsync": "always", "maxmemory": "0", "maxmemory-policy": "noeviction"}


def facts(**settings: str) -> ServerFacts:
    named = {name.replace("_", "-"): value for name, value in settings.items()}
    return ServerFacts("Redis", "8.2.1", "standalone", {**SAFE, **named})


def test_a_server_is_told_in_one_line() -> None:
    told = "appendonly yes, appendfsync always, maxmemory 0, maxmemory-policy noeviction"
    assert describe(facts()) == f"Redis 8.2.1, standalone: {told}"
    unknown = ServerFacts("Valkey", "8.0.1", "cluster", {})
    assert describe(unknown) == "Valkey 8.0.1, cluster, settings unknown"


def test_only_what_may_cost_messages_is_complained_about() -> None:
    assert complaints(facts()) == []
    assert complaints(ServerFacts("Redis", "7.0.0", "cluster", {})) == []
    assert complaints(facts(maxmemory_policy="allkeys-lru")) == []
    (eviction,) = complaints(facts(maxmemory_policy="allkeys-lru", maxmemory="100"))
    assert "throw out messages" in eviction
    assert complaints(facts(appendonly="no", save="")) == [
        "appendonly is no: a restart of Redis loses everything"
    ]
    assert "since the last snapshot" in complaints(facts(appendonly="no", save="3600 1"))[0]


async def test_a_worker_tells_at_its_start_which_redis_it_found(
    redis_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(redis_url)

    assert "standalone: appendonly yes, appendfsync everysec" in worker.printed()


async def test_settings_that_may_not_be_read_are_no_hindrance(tmp_path: Path) -> None:
    with RedisServer(tmp_path, 'rename-command CONFIG ""') as server:
        link = server_at([f"redis://{HOST}:{server.port}/0"])
        found = await probe(link, "key")
        await link.aclose()

    assert found.settings == {}
    assert found.release >= (7, 0)


async def test_a_redis_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.transport.probe.OLDEST", (99, 0))
    with RedisServer(tmp_path) as server:
        link = server_at([f"redis://{HOST}:{server.port}/0"])
        with pytest.raises(UnsupportedServerError, match=r"^Redis \d+\.\d+\.\d+ is too old: XADD"):
            await probe(link, "key")
        await link.aclose()


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server of the system's")
async def test_the_redis_of_debian_will_do(
    tmp_path: Path, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    server = RedisServer(tmp_path / "redis", binary=Path(str(shutil.which("redis-server"))))
    with server:
        version = server.call("INFO", "server")["redis_version"]
        url = f"redis://{HOST}:{server.port}/0"
        worker = start_worker(url, notes_url=redis_url)
        await send_numbers(url, 100)

        wait_until(lambda: notes.llen("doubled") == 100, "100 numbers")
        assert f"Redis {version}, standalone" in worker.printed()
