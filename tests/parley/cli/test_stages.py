"""`parley stages` and `parley top --redis`: the Faust apps of any Redis."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from faust_redis.testing import Keys, free_port, wait_until
from parley.cli import cli, main
from tests.support.command import parley

KEYS = Keys()
PARLEY = [sys.executable, "-m", "parley.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "REDIS_URL": ""}


def declare_shop(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.hset(KEYS.topic("orders"), "partitions", "1")
        client.xgroup_create(KEYS.stream(("orders", 0)), "shop", "0", mkstream=True)
        client.hset(KEYS.group("shop").state, mapping={"generation": 1, "since": 1})
        client.execute_command("XADD", KEYS.stream(("orders", 0)), "0-*", "t", "1", "v", "x")


def test_the_page_of_any_redis_is_served_on_the_loopback_address(redis_url: str, tmp_path: Path) -> None:
    declare_shop(redis_url)
    port = free_port()
    page = f"http://127.0.0.1:{port}/"
    command = [*PARLEY, "stages", "--redis", redis_url, "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    snapshots: list[Any] = []

    def is_served() -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request("GET", "/api/watch")
                snapshots.append(json.load(connection.getresponse()))
        except ConnectionError:
            return False
        return True

    try:
        wait_until(is_served, "the figures")
    finally:
        process.terminate()
        printed, _ = process.communicate(timeout=20)
    assert [(app["name"], app["lag"]) for app in snapshots[0]["apps"]] == [("shop", 1)]
    assert printed.splitlines() == [f"The page is at {page} (Ctrl-C stops)"]


def test_top_shows_the_apps_of_any_redis(
    redis_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_shop(redis_url)
    for columns in (80, 160):
        monkeypatch.setenv("COLUMNS", str(columns))
        cli.main(["top", "--redis", redis_url, "--once"], standalone_mode=False)
        printed = capsys.readouterr().out
        assert "shop" in printed
        assert "orders" in printed
        assert max(map(len, printed.splitlines())) <= columns


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(arguments, standalone_mode=False)
    return capsys.readouterr().out


def test_an_operator_pauses_resumes_moves_and_searches(
    redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declare_shop(redis_url)
    where = ("--redis", redis_url)
    run(capsys, "pause", "shop", "orders", "--partition", "0", *where)
    with redis.Redis.from_url(redis_url) as client:
        assert list(client.hgetall(KEYS.paused("shop"))) == [b"orders:0"]
        assert run(capsys, "resume", "shop", "orders", "--partition", "0", *where) == "resumed\n"
        assert run(capsys, "resume", "shop", "orders", *where) == "it was not paused\n"
        client.hset(KEYS.topic("orders"), "retention", "3600000")
        moves = run(capsys, "offsets", "shop", "orders", "latest", "--preview", *where)
        assert moves == "orders 0: next offset 1 -> 2\nnothing is moved yet\n"
        assert run(capsys, "offsets", "shop", "orders", "latest", *where).endswith("moved\n")
        assert client.xinfo_groups(KEYS.stream(("orders", 0)))[0]["last-delivered-id"] == b"0-1"
    searching = ("search", "orders", "--text", "x", *where)
    hidden, shown = run(capsys, *searching), run(capsys, *searching, "--private")
    assert (json.loads(hidden)["message"], json.loads(shown)["message"]) == (None, "x")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("top", "--redis", "redis://127.0.0.1:1", "--once"), "Redis does not answer"),
        (("top", "--redis", "http://x", "--once"), "scheme"),
        (("stages", "--redis", "http://x"), "scheme"),
        (("stages", "--redis", "redis://x", "--namespace", "a:b"), "namespace"),
        (("pause", "a", "b", "--redis", "redis://127.0.0.1:1"), "Redis does not answer"),
    ],
)
def test_a_wrong_address_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], error: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("parley: ")
    assert error in line


def test_a_change_from_a_terminal_writes_an_audit_line(redis_url: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        return parley(tmp_path, *arguments, REDIS_URL=redis_url).stderr

    with redis.Redis.from_url(redis_url) as client:
        client.hset(KEYS.topic("orders"), "partitions", "4")
        client.hset(KEYS.group("shop").state, "generation", "1")
    place = ("shop", "orders", "--partition", "2")
    line = r"INFO admin action pause by \S+: app='shop' topic='orders' partition=2"
    assert re.search(line, run("pause", *place))
    with redis.Redis.from_url(redis_url) as client:
        assert client.hkeys(KEYS.paused("shop")) == [b"orders:2"]
    assert "admin action resume by" in run("resume", *place)
    assert "admin action" not in run("offsets", "shop", "orders", "earliest", "--preview")
