"""`parley stages` and `parley top --redis`: the Faust apps of any Redis."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from faust_redis.testing import Keys, free_port, wait_until
from parley.cli import cli, main

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


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("top", "--redis", "redis://127.0.0.1:1", "--once"), "Redis does not answer"),
        (("top", "--redis", "http://x", "--once"), "scheme"),
        (("stages", "--redis", "http://x"), "scheme"),
        (("stages", "--redis", "redis://x", "--namespace", "a:b"), "namespace"),
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
