"""The transport on Redis as operators run it: TLS, users, sockets, Sentinel, a cluster."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import traceback
from pathlib import Path

import faust
import pytest
import redis

from faust_redis import BrokerAddressError
from faust_redis.redis import addresses_of, server_from_urls
from faust_redis.redis.servers import server_at
from faust_redis.testing import (
    HOST,
    Cluster,
    RedisServer,
    eventually,
    free_port,
    self_signed_certificate,
    sentinel,
    wait_until,
)
from faust_redis.watching import Watch, client_of
from tests.numbers import all_seen, in_order, more, numbers_seen, send_numbers, sending
from tests.worker import StartWorker


async def test_a_user_a_password_and_a_database_come_from_the_address(
    tmp_path: Path, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    user = "user ada on >open%sesame ~* &* +@all"
    with RedisServer(tmp_path / "redis", user, "requirepass other") as server:
        url = f"redis://ada:open%25sesame@{HOST}:{server.port}/3"
        start_worker(url, notes_url=redis_url)
        await send_numbers(url, 20)

        wait_until(lambda: notes.llen("doubled") == 20, "20 numbers")
        with redis.Redis.from_url(url) as client:
            assert client.exists("faust:{counting}:state")


async def test_a_unix_socket(
    tmp_path: Path, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    path = tmp_path / "s.sock"
    with RedisServer(tmp_path / "redis", f'unixsocket "{path}"'):
        start_worker(f"unix://{path}", notes_url=redis_url)
        await send_numbers(f"unix://{path}", 20)

        wait_until(lambda: notes.llen("doubled") == 20, "20 numbers")


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
async def test_tls_by_address_and_by_the_apps_own_context(
    tmp_path: Path, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    cert, key = self_signed_certificate(tmp_path)
    port = free_port()
    files = (f'tls-cert-file "{cert}"', f'tls-key-file "{key}"')
    with RedisServer(tmp_path / "redis", f"tls-port {port}", *files, "tls-auth-clients no"):
        url = f"rediss://{HOST}:{port}/0"
        start_worker(f"{url}?ssl_ca_certs={cert}", notes_url=redis_url)
        context = ssl.create_default_context(cafile=str(cert))
        app = faust.App("sender", broker=url, topic_partitions=4, ssl_context=context)
        await app.maybe_start_producer()
        await app.topic("numbers", key_type=str).send(key="k", value=7)
        await app.producer.flush()
        await app.producer.stop()

        wait_until(lambda: notes.lrange("doubled", 0, -1) == ["14"], "a number")


async def failure_of(url: str) -> str:
    """Return the error of a first command."""
    server = server_from_urls(addresses_of(url))
    try:
        await server.stream.execute("PING")
    except redis.RedisError as error:
        return str(error)
    finally:
        await server.aclose()
    return ""


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
async def test_an_error_names_the_scheme_that_the_port_needs(tmp_path: Path) -> None:
    cert, key = self_signed_certificate(tmp_path)
    secure = free_port()
    files = (f'tls-cert-file "{cert}"', f'tls-key-file "{key}"')
    with RedisServer(tmp_path / "redis", f"tls-port {secure}", *files, "tls-auth-clients no") as server:
        plain = server.port
        for scheme in ("redis", "redis+cluster"):
            error = await failure_of(f"{scheme}://{HOST}:{secure}")
            assert error.endswith("a port with TLS needs rediss instead of redis")
        assert (await failure_of(f"redis+sentinel://{HOST}:{secure}/main")).endswith("asked without TLS")
        schemes = ("rediss", "rediss+cluster")
        errors = await asyncio.gather(*(failure_of(f"{scheme}://{HOST}:{plain}") for scheme in schemes))
        assert all(error.endswith("a port without TLS needs redis instead of rediss") for error in errors)


async def test_an_error_about_a_database_names_it_and_those_that_are_allowed(redis_url: str) -> None:
    host = redis_url.rpartition("/")[0]

    assert "database 77, and allowed are 0 to" in await failure_of(f"{host}/77")


async def apps_watched(url: str) -> list[str]:
    """Return the apps that read a topic, as a watch finds them."""
    client, _ = client_of(url)
    watch = Watch(client)
    snapshot = await watch.snapshot()
    await watch.stop()
    await client.aclose()
    return [app.name for app in snapshot.apps if app.reads]


async def test_sentinel_is_asked_for_the_primary_and_a_failover_is_followed(
    tmp_path: Path, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    with sentinel(tmp_path) as (url, (primary, replica)):
        start_worker(url, notes_url=redis_url)
        await send_numbers(url, 50)
        wait_until(lambda: notes.llen("doubled") == 50, "50 numbers")

        primary.kill()
        await send_numbers(url, 50, first=50)

        wait_until(lambda: notes.llen("doubled") == 100, "50 more numbers, through the new primary")
        assert replica.call("INFO", "replication")["role"] == "master"
        assert sorted(set(numbers_seen(notes))) == list(range(100))
        assert await apps_watched(url) == ["counting"]


async def test_a_cluster_carries_every_message_once_in_the_order_of_its_key(
    redis_cluster: Cluster, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    start_worker(redis_cluster.url, notes_url=redis_url, app="spread")
    start_worker(redis_cluster.url, notes_url=redis_url, app="spread")
    await send_numbers(redis_cluster.url, 200)

    wait_until(lambda: notes.llen("doubled") == 200, "200 numbers")
    seen = numbers_seen(notes)
    assert sorted(seen) == list(range(200))
    for key in range(10):
        assert [n for n in seen if n % 10 == key] == list(range(key, 200, 10))


async def test_slots_that_move_are_followed(
    redis_cluster: Cluster, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    start_worker(redis_cluster.url, notes_url=redis_url, app="moved")
    await send_numbers(redis_cluster.url, 50)
    wait_until(lambda: notes.llen("doubled") == 50, "50 numbers")

    for key in ("{numbers:0}", "{numbers:1}", "{doubled:2}", "faust:{moved}:state"):
        redis_cluster.move(key)
    await send_numbers(redis_cluster.url, 50, first=50)

    wait_until(lambda: set(numbers_seen(notes)) == set(range(100)), "50 more numbers")


@pytest.mark.parametrize("key", ["{numbers:0}", "{doubled:1}", "faust:{asked}:state"])
async def test_work_goes_on_while_a_slot_moves(
    redis_cluster: Cluster, start_worker: StartWorker, notes: redis.Redis, redis_url: str, key: str
) -> None:
    worker = start_worker(redis_cluster.url, notes_url=redis_url, app="asked")
    async with sending(redis_cluster.url) as sent:
        await more(sent)
        with redis_cluster.moving(key):
            await more(sent, 200)
            so_far = len(sent)
            await eventually(lambda: len(set(notes.lrange("doubled", 0, -1))) >= so_far, "outputs of all")
        await more(sent)

    all_seen(notes, sent)
    in_order(notes)
    assert "Traceback" not in worker.printed()


async def test_a_cluster_that_loses_a_primary_goes_on_with_its_replica(
    redis_cluster: Cluster, start_worker: StartWorker, notes: redis.Redis, redis_url: str
) -> None:
    start_worker(redis_cluster.url, notes_url=redis_url, app="bereft")
    await send_numbers(redis_cluster.url, 50)
    wait_until(lambda: notes.llen("doubled") == 50, "50 numbers")

    redis_cluster.holder("{numbers:0}").kill()
    await send_numbers(redis_cluster.url, 50, first=50)

    wait_until(lambda: set(numbers_seen(notes)) == set(range(100)), "50 more numbers, through the replica")


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        (["http://h"], "its scheme is not one of"),
        (["redis+sentinel://h:26379"], "lacks the service's name"),
        (["redis://h", "redis://i"], "one server has one address"),
        (["redis+cluster://h/1"], "no database but 0"),
        (["redis://h:port"], "port"),
        (["redis://h/shop"], "the database 'shop' is not a number"),
        (["redis+sentinel://h/main/shop"], "the database 'shop' is not a number"),
        (["unix://run/redis.sock"], "three slashes, as in unix:///run/redis.sock"),
        (["redis://h?ssl_ca_certs=/etc/ca.pem"], "ssl_ca_certs is for TLS: use rediss://"),
        (["rediss://h?ssl_ca_certs=/there/is/none"], "ssl_ca_certs names no file: '/there/is/none'"),
        (["redis://h?atempts=3"], "its parameter 'atempts' is unknown"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_with_the_reason(addresses: list[str], reason: str) -> None:
    with pytest.raises(BrokerAddressError, match=reason):
        server_at(addresses)


@pytest.mark.parametrize(
    "addresses",
    [
        "redis://ada:Hunter22@h:port",
        "redis://ada:a/Hunter22@h:6379",
        "redis://ada:a@Hunter22@h:port",
        "redis://ada:Hunter22#b@h:6379",
        "redis://ada:Hunter22?b@h:6379",
        "redis+sentinel://:Hunter22@h/main?acks=2&sentinel_password=Hunter22",
        "redis+sentinel://:Hunter22@h;redis+sentinel://:Hunter22@i",
        "redis+cluster://u:Hunter22@h:1;redis+cluster://u:Hunter22@i:port",
        "rediss+cluster://u:Hunter22@h:6379/1?ssl_password=Hunter22",
        "rediss://h?ssl_password=Hunter22;rediss://i?ssl_password=Hunter22",
        "redis://ada:Hunter22;b@h:6379",
        "kafka://ada:Hunter22@h",
        "ada:Hunter22@h:6379",
    ],
)
def test_an_error_about_an_address_hides_its_secrets(addresses: str) -> None:
    with pytest.raises(BrokerAddressError) as caught:
        server_at(addresses.split(";"))
    assert "Hunter22" not in str(caught.value) + repr(caught.value)
    assert "Hunter22" not in "".join(traceback.format_exception(caught.value, limit=0))
