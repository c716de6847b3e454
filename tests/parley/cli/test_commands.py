"""The command `parley`, run as a user runs it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from parley.cli.agent import health_port
from parley.cli.redis import commands_to_reach
from parley.local.embedded import EmbeddedRedis, folder_of
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from tests.support.command import parley


@pytest.mark.parametrize("command", [["up"], ["agent", "infer"], ["web"], ["redis"]])
def test_a_wrong_setting_is_one_line_and_status_2(tmp_path: Path, command: list[str]) -> None:
    done = parley(tmp_path, *command, SESSION_TTL="soon")

    assert done.returncode == 2
    assert done.stderr == "parley: SESSION_TTL holds 'soon'; allowed: whole seconds, from 1 to 31536000\n"
    assert done.stdout == ""


def test_a_port_in_use_is_one_line_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = parley(tmp_path, "up", PORT=port)

    assert done.returncode == 2
    assert done.stderr.startswith(f"parley: PORT holds '{port}'; allowed: a port that is free")
    assert done.stderr.count("\n") == 1


def test_a_second_up_on_one_folder_of_data_is_refused(tmp_path: Path) -> None:
    with EmbeddedRedis(folder_of(str(tmp_path / "data"), 3999)):
        done = parley(tmp_path, "up", PORT="3999")

    assert done.returncode == 1
    assert "another Parley uses" in done.stderr
    assert done.stderr.count("\n") == 1


def test_redis_url_prints_the_url_alone(tmp_path: Path) -> None:
    with EmbeddedRedis(folder_of(str(tmp_path / "data"), 3999)) as server:
        done = parley(tmp_path, "redis", "--url", PORT="3999")

        assert (done.returncode, done.stdout, done.stderr) == (0, f"{server.url}\n", "")


def test_redis_url_without_a_running_one_is_an_error(tmp_path: Path) -> None:
    done = parley(tmp_path, "redis", "--url")

    assert done.returncode == 1
    assert done.stdout == ""
    assert "no embedded Redis runs" in done.stderr


def test_redis_tells_server_module_and_how_to_reach_it(tmp_path: Path) -> None:
    with EmbeddedRedis(folder_of(str(tmp_path / "data"), 3999)) as server:
        done = parley(tmp_path, "redis", PORT="3999")

    assert "server   Redis " in done.stdout
    assert "module   RedisJSON " in done.stdout
    assert f"-s {server.folder}/redis-" in done.stdout
    assert "note     Redis " in done.stdout


def test_redis_shows_no_password_of_the_users_own(tmp_path: Path) -> None:
    done = parley(tmp_path, "redis", REDIS_URL="redis://ada:opensesame@db:6379/0")

    assert "redis://ada:…@db:6379/0" in done.stdout
    assert "opensesame" not in done.stdout


@pytest.mark.parametrize(
    ("url", "commands"),
    [
        ("rediss://ada:…@db:6379/2", ["redis-cli -u 'rediss://ada:…@db:6379/2'"]),
        ("unix:///run/redis.sock?db=0", ["redis-cli -s /run/redis.sock"]),
        ("redis+cluster://a:7000;redis+cluster://b:7000", ["redis-cli -c -u redis://a:7000"]),
        (
            "redis+sentinel://a/main/0",
            [
                "redis-cli -h a -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME main",
                "redis-cli -h HOST -p PORT, with the host and port of that reply",
            ],
        ),
    ],
)
def test_the_way_to_every_kind_of_redis_is_printed(url: str, commands: list[str]) -> None:
    assert commands_to_reach(url) == commands


def test_a_twin_of_an_agent_takes_a_health_port_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        by_default = Settings(port=port - 10_200, host="127.0.0.1")
        chosen = Settings(infer_port=port, host="127.0.0.1")

        assert by_default.agent_port("infer") == port
        assert health_port("infer", by_default) != port
        with pytest.raises(SettingsError, match=r"^INFER_PORT holds"):
            health_port("infer", chosen)


def test_a_command_loads_neither_faust_nor_redis_before_it_runs() -> None:
    look = "import sys, parley.cli; print({'faust', 'redis', 'aiohttp'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"
