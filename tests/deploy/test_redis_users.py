"""The users of deploy/redis: the service does all its work with them, and each may do nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from faust_redis.testing import eventually
from pipeline.chat.presence import Presence
from pipeline.chat.records import Frame
from pipeline.redis.client import connect
from pipeline.settings import STAGES
from tests.deploy.separate_parts import RedisWithUsers, SeparateParts
from tests.support.chat_client import ChatClient
from tests.support.model_server import ModelServer

ADMIN = {"Authorization": "Bearer correct-horse-battery"}
#: What no part needs, and what would let one do everything.
FORBIDDEN = (
    ("FLUSHALL",),
    ("CONFIG", "SET", "dir", "."),
    ("CONFIG", "GET", "requirepass"),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("MONITOR",),
    ("ACL", "LIST"),
    ("MODULE", "LIST"),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("FUNCTION", "LIST"),
    ("SHUTDOWN", "NOSAVE"),
    ("SCRIPT", "FLUSH"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("SET", "another:key", "1"),
    ("PUBLISH", "channel", "text"),
)


@pytest.mark.timeout(400)
async def test_the_service_does_all_its_work_with_users_of_least_rights(
    tmp_path: Path, server: RedisWithUsers
) -> None:
    """Whatever is refused to a part is in Redis's own log, which stays empty."""
    async with ModelServer() as model:
        settings = {"MODEL_URL": model.url, "MODEL_ATTEMPTS": "1", "ADMIN_TOKEN": ADMIN["Authorization"][7:]}
        with SeparateParts(tmp_path, server, **settings) as parts:
            async with ChatClient(parts.url) as client:
                token = await converse(client, model)
                assert not server.refused()
                await fail_and_repair(client, parts, model, token)
                assert not server.refused()
                await lose_an_agent_of_each_stage(client, parts, model)
                async with client.http.delete(
                    "/session", headers={"Authorization": f"Bearer {token}"}
                ) as gone:
                    assert gone.status == 204
            for part in ("web", *STAGES):
                parts.stop(part)
            assert not server.refused()
            assert "NOPERM" not in parts.logs()


def test_scripts_and_transactions_survive_a_restart_of_redis(server: RedisWithUsers) -> None:
    with server.client() as client:
        client.eval("redis.call('SET', KEYS[1], 'a'); redis.call('SET', KEYS[2], 'b')", 2, "{t}:1", "{t}:2")
        client.pipeline(transaction=True).set("{t}:3", "c").set("{t}:4", "d").execute()
        server.restart()
        assert client.mget("{t}:1", "{t}:2", "{t}:3", "{t}:4") == [b"a", b"b", b"c", b"d"]


@pytest.mark.parametrize("user", ["web", *STAGES, "operator", "keda", "health"])
def test_no_user_may_do_more_than_its_part_needs(user: str, server: RedisWithUsers) -> None:
    with server.client(user) as client:
        assert client.ping()
        for command in FORBIDDEN:
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
        with pytest.raises(redis.exceptions.ResponseError, match=r"NOPERM|permissions"):
            client.eval("return redis.call('SET', KEYS[1], '1')", 1, "another:key")


def test_nobody_gets_in_without_a_password(server: RedisWithUsers) -> None:
    with redis.Redis(port=server.port) as client, pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()
    for user in ("default", "web", "operator"):
        wrong = redis.Redis(port=server.port, username=user, password="guess")
        with wrong as client, pytest.raises(redis.exceptions.AuthenticationError):
            client.ping()


@pytest.mark.parametrize(("user", "command"), [
    ("infer", ("JSON.SET", "session:{t}", "$.name", '"x"')),
    ("infer", ("DEL", "session:{t}")),
    ("enrich", ("JSON.SET", "session:{t}", "$.name", '"x"')),
    ("enrich", ("GET", "partial:{t}")),
    ("ingest", ("XADD", "{deliver:0}", "*", "v", "1")),
    ("ingest", ("XRANGE", "{enrich:0}", "-", "+")),
    ("deliver", ("XADD", "{infer:0}", "*", "v", "1")),
    ("web", ("XACK", "{infer:0}", "infer", "0-1")),
    ("web", ("DEL", "{infer:0}")),
    ("web", ("XDEL", "{infer:0}", "0-1")),
    ("operator", ("JSON.GET", "session:{t}")),
    ("operator", ("DEL", "{infer:0}")),
    ("keda", ("XRANGE", "{infer:0}", "-", "+")),
])  # fmt: skip
def test_a_part_may_not_do_the_work_of_another(
    user: str, command: tuple[str, ...], server: RedisWithUsers
) -> None:
    with server.client(user) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("user", STAGES)
async def test_an_agent_may_remove_a_dead_web_node(user: str, server: RedisWithUsers) -> None:
    frame: Frame = {"type": "accepted", "id": "m", "position": 0}
    async with connect(server.url("web")) as web, connect(server.url(user)) as agent:
        await Presence(web).hold("dead", {"t": True})
        assert await Presence(agent, patience=1.0).publish([("t", frame)]) == 0
        assert await Presence(web).publish([("t", frame)]) == 0
    assert not server.refused()


async def converse(client: ChatClient, model: ModelServer) -> str:
    """Do all that a person can do in a chat; return the session's token."""
    token = await client.token()
    await client.ask(token, "one", "two", "three")
    socket = await client.stream(token)
    first = await socket.say("hello")
    await socket.until("message")
    await socket.say("hello", first)
    await socket.put(type="regenerate")
    await socket.until("message")
    model.token_delay, model.tokens = 0.05, 60
    await socket.say("to be stopped")
    await socket.until("token")
    await socket.put(type="stop")
    assert (await socket.until("message"))["stopped"]
    await socket.say("to be resumed")
    await socket.until("token")
    socket.vanish()
    model.token_delay, model.tokens = 0.0, 0
    socket = await client.stream(token, after=first)
    await socket.until(lambda frame: frame["type"] == "message" and "resumed" in frame["msg"])
    assert (await client.session(token))["messages"]
    return token


async def fail_and_repair(client: ChatClient, parts: SeparateParts, model: ModelServer, token: str) -> None:
    """Let the model refuse, and do all that an operator can do about it."""
    socket = await client.stream(token)

    async def dead() -> list[dict[str, str]]:
        async with client.http.get("/api/stages/infer/dead", headers=ADMIN) as response:
            assert response.status == 200, await response.text()
            letters: list[dict[str, str]] = (await response.json())["letters"]
            return letters

    for _ in range(2):
        model.fail_next(status=401, body={"error": "no"})
        await socket.say("refused")
        await socket.until("error")
    await eventually(dead, "dead letters")
    one = {"id": (await dead())[0]["id"]}
    async with client.http.post("/api/stages/dead/replay", json=one, headers=ADMIN) as response:
        assert response.status == 200, await response.text()
    pages = ("/stages", "/api/stages", "/api/stages/history", "/api/stages/access", "/metrics", "/model")
    for path in (*pages, "/api/stages/infer/0/latest", "/api/stages/infer/0/pending"):
        async with client.http.get(path, headers=ADMIN) as response:
            assert response.status == 200, path
    assert "infer" in parts.command("top", "--once")
    assert "parley resume infer infer" in parts.command("pause", "infer", "infer")
    assert "resumed" in parts.command("resume", "infer", "infer")
    parts.command("search", "infer", "--key", "k")
    assert parts.command("dead", "list")
    parts.command("dead", "replay", "--all")
    parts.command("dead", "drop", "--all")


async def lose_an_agent_of_each_stage(client: ChatClient, parts: SeparateParts, model: ModelServer) -> None:
    """Kill an agent of each stage while it works; another takes its place."""
    for stage in STAGES:
        parts.start_another(stage)
    model.token_delay, model.tokens = 0.05, 60
    sockets = [await client.stream(await client.token()) for _ in range(12)]
    for socket in sockets:
        await socket.say("hello")
    for stage in STAGES:
        parts.kill_the_first(stage)
    model.token_delay, model.tokens = 0.0, 0
    for socket in sockets:
        await socket.until("message", 60)
