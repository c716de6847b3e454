"""The transport examines its Redis and logs its findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from faust_redis.errors import UnsupportedServerError
from faust_redis.redis.probe import NEEDED, ServerFacts, complaints, describe, probe, uses
from faust_redis.redis.servers import server_at
from faust_redis.testing import HOST, RedisServer, wait_until
from tests.worker import StartWorker

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
    assert "evict messages" in eviction
    assert complaints(facts(appendonly="no", save="")) == [
        "appendonly is no: a restart of Redis loses everything"
    ]
    assert "since the last snapshot" in complaints(facts(appendonly="no", save="3600 1"))[0]


async def test_a_worker_tells_at_its_start_which_redis_it_found(
    redis_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(redis_url)

    assert "standalone: appendonly yes, appendfsync everysec" in worker.printed()
    assert "offsets by XADD 0-*, takeovers by XCLAIM, acks and trimming by EVALSHA" in worker.printed()


async def test_settings_that_may_not_be_read_are_no_hindrance(tmp_path: Path) -> None:
    with RedisServer(tmp_path, 'rename-command CONFIG ""') as server:
        link = server_at([f"redis://{HOST}:{server.port}/0"])
        found = await probe(link, "key")
        await link.aclose()

    assert found.settings == {}
    assert found.release >= (7, 0)


def test_what_could_not_be_tried_and_what_is_not_used_are_told() -> None:
    assert uses(facts()).endswith("; could not be tried: XADD 0-*, XCLAIM, EVALSHA")
    tried = dict.fromkeys(NEEDED.values(), True)
    assert uses(facts()._replace(can=tried | {"XACKDEL": False})).endswith("trimming by EVALSHA")
    assert uses(facts()._replace(can=tried | {"XACKDEL": True})).endswith("; has XACKDEL too, not used")


@pytest.mark.parametrize("lines", ["user default on nopass ~* &* +@all -command -xadd", "maxmemory 1"])
async def test_what_a_redis_does_not_let_us_try_is_no_hindrance(tmp_path: Path, lines: str) -> None:
    with RedisServer(tmp_path, lines) as server:
        link = server_at([f"redis://{HOST}:{server.port}/0"])
        found = await probe(link, "key")
        await link.aclose()

    assert "XADD 0-*" not in found.can


@pytest.mark.parametrize(
    ("rights", "forbidden"),
    [
        ("off", ("XADD", "XCLAIM", "XGROUP", "XACK", "HSET", "SET")),
        ("off resetpass ~* &* +@all -xadd", ("XADD",)),
        ("off resetpass ~other* &* +@all", ("XADD", "XCLAIM", "XGROUP", "XACK", "HSET", "SET")),
        ("off resetpass ~* &* +@all", ()),
    ],
)
async def test_a_default_user_whose_rights_lose_data_at_a_restart_is_complained_about(
    tmp_path: Path, rights: str, forbidden: tuple[str, ...]
) -> None:
    with RedisServer(tmp_path) as server:
        server.call("ACL", "SETUSER", "app", "on", "nopass", "~*", "&*", "+@all")
        server.call("ACL", "SETUSER", "default", "reset", *rights.split())
        link = server_at([f"redis://app:any@{HOST}:{server.port}/0"])
        found = await probe(link, "key")
        await link.aclose()

    assert found.forbidden == forbidden
    told = complaints(found._replace(settings=SAFE))
    assert [complaint.partition(":")[0] for complaint in told] == [
        f"the user default may not run {', '.join(forbidden)}" for _ in forbidden[:1]
    ]


async def test_a_redis_that_lacks_a_command_is_refused_by_its_name(tmp_path: Path) -> None:
    with RedisServer(tmp_path, 'rename-command XCLAIM ""') as server:
        link = server_at([f"redis://{HOST}:{server.port}/0"])
        with pytest.raises(UnsupportedServerError, match=r"lacks XCLAIM$"):
            await probe(link, "key")
        await link.aclose()


async def test_a_cluster_that_is_addressed_as_one_server_is_refused(
    tmp_path: Path, start_worker: StartWorker, redis_url: str
) -> None:
    with RedisServer(tmp_path / "redis", "cluster-enabled yes") as node:
        node.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: node.call("CLUSTER INFO")["cluster_state"] == "ok", "a cluster of one")
        worker = start_worker(f"redis://{HOST}:{node.port}/0", notes_url=redis_url, ready=False)

        assert worker.process.wait(30) != 0
        assert "is a node of a cluster: use redis+cluster:// instead of redis://" in worker.printed()


async def test_one_server_that_is_addressed_as_a_cluster_is_refused(
    redis_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(redis_url.replace("redis:", "redis+cluster:"), notes_url=redis_url, ready=False)

    assert worker.process.wait(30) != 0
    assert "Cluster mode is not enabled on this node" in worker.printed()


async def test_a_redis_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faust_redis.redis.probe.OLDEST", (99, 0))
    with RedisServer(tmp_path) as server:
        if "valkey_version" in server.call("INFO", "server"):
            pytest.skip("this is Valkey, which has it in every version")
        link = server_at([f"redis://{HOST}:{server.port}/0"])
        with pytest.raises(UnsupportedServerError, match=r"^Redis \d+\.\d+\.\d+ is too old: XADD"):
            await probe(link, "key")
        await link.aclose()
