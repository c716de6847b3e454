"""`parley up`, whole: everything starts, heals and stops together."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import time
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from faust_redis.testing import wait_until
from parley.cli.supervisor import describe_model
from parley.local.embedded import EmbeddedRedis, folder_of, running
from parley.local.running_servers import client_of
from pipeline.settings import Settings
from tests.support.service import Up, started

# What `up` promises.
STOPS_WITHIN_SECONDS = 10.0


def _all_end(descriptors: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    # The descriptor of a process becomes readable when the process ends.
    return all(
        bool(select.select([each], [], [], max(0.0, deadline - time.monotonic()))[0]) for each in descriptors
    )


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_everything_says_where_and_stops_without_a_trace(folder: Path, sig: signal.Signals) -> None:
    with started(folder) as up:
        assert f"Parley is ready: http://127.0.0.1:{up.port}" in up.lines
        assert any(line.startswith("Model: ELIZA") for line in up.lines)
        with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/readyz", timeout=10) as response:
            assert response.status == 200
        descriptors = [os.pidfd_open(pid) for pid in up.children()]
        assert len(descriptors) == 7  # Redis, the fork server, four agents, the web

        up.process.send_signal(sig)

        assert up.process.wait(STOPS_WITHIN_SECONDS) == 0
        assert _all_end(descriptors, 0.0)
        assert running(folder_of(up.data_dir, up.port)) is None
        for descriptor in descriptors:
            os.close(descriptor)


def test_the_model_is_described_without_the_secrets_of_its_address() -> None:
    url = "http://me:secret@127.0.0.1:8080/v1?api-key=secret"
    settings = Settings(model_url=url, model="m", model_kind="chat-completions")
    assert describe_model(settings) == "m at http://me:…@127.0.0.1:8080/v1?api-key=… (chat-completions)"


def test_a_part_that_is_killed_comes_back(folder: Path) -> None:
    with started(folder) as up:
        os.kill(up.agents("infer")[0], signal.SIGKILL)
        up.wait_for("infer   │ killed by SIGKILL; starting again")
        os.kill(up.child("redis-server"), signal.SIGKILL)
        up.wait_for("redis   │ killed by SIGKILL; starting again")

        up.process.terminate()
        assert up.process.wait(STOPS_WITHIN_SECONDS) == 0


def test_when_it_is_killed_itself_nothing_stays_behind(folder: Path) -> None:
    with started(folder) as up:
        descriptors = [os.pidfd_open(pid) for pid in up.children()]

        up.process.kill()

        assert _all_end(descriptors, STOPS_WITHIN_SECONDS)
        for descriptor in descriptors:
            os.close(descriptor)


def test_it_can_be_killed_and_started_again_at_once_while_its_redis_is_slow_to_end(folder: Path) -> None:
    with started(folder) as up:
        server = up.child("redis-server")
        os.kill(server, signal.SIGSTOP)
        up.process.kill()
        up.process.wait()

        again = Up(folder, PORT=str(up.port))
        try:
            again.wait_for("The Redis of an earlier run is still ending")
            os.kill(server, signal.SIGCONT)
            again.wait_for("Parley is ready")
            assert again.child("redis-server") != server
            assert _answer(f"http://127.0.0.1:{up.port}")
        finally:
            again.close()


def test_another_number_of_partitions_than_the_recorded_one_ends_it_with_one_line(folder: Path) -> None:
    with EmbeddedRedis(folder_of(str(folder / "data"), 3999)) as redis, client_of(redis.url) as connection:
        connection.hset("faust:topic:ingest", "partitions", 8)
    up = Up(folder, PORT="3999", PARTITIONS="16")
    try:
        assert up.process.wait(60) == 2
        assert "PARTITIONS holds '16'; allowed: 8, with" in up.lines[-1]
        assert not any("Traceback" in line for line in up.lines)
    finally:
        up.close()


def test_two_copies_do_not_disturb_each_other(folder: Path, tmp_path: Path) -> None:
    with started(folder) as one, started(tmp_path) as two:
        one_redis = running(folder_of(one.data_dir, one.port))
        two_redis = running(folder_of(two.data_dir, two.port))

        assert one_redis is not None
        assert two_redis is not None
        assert one_redis.url != two_redis.url


def test_an_agent_whose_port_is_taken_at_its_start_gets_another(folder: Path) -> None:
    up = Up(folder, module="tests.support.taken_port")
    try:
        up.wait_for("Parley is ready")

        refused = [line for line in up.lines if "INFER_PORT holds" in line]
        assert len(refused) == 1
    finally:
        up.close()


def test_a_port_that_the_user_chose_and_that_is_taken_ends_it(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = Up(folder, INFER_PORT=str(taken.getsockname()[1]))
        try:
            assert up.process.wait(60) == 2
        finally:
            up.close()


def test_several_web_processes_share_the_port(folder: Path) -> None:
    with started(folder, WEB_PROCESSES="2") as up:
        webs = up.webs()
        assert len(webs) == 2

        os.kill(webs[0], signal.SIGKILL)
        up.wait_for("killed by SIGKILL; starting again")
        with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/test", timeout=10) as response:
            assert response.status == 200


def test_one_process_can_run_the_agents_of_all_stages_and_comes_back_when_it_is_killed(folder: Path) -> None:
    with started(folder, SINGLE_AGENT_PROCESS="true") as up:
        agents = up.child("parley agent all")
        assert len(up.children()) == 4  # Redis, the fork server, the agents, the web
        assert _answer(up.url)

        os.kill(agents, signal.SIGKILL)
        up.wait_for("agents  │ killed by SIGKILL; starting again")

        assert _answer(up.url)
        wait_until(lambda: _workers(up.url) == [1, 1, 1, 1], "a worker of each stage")
        up.process.terminate()
        assert up.process.wait(STOPS_WITHIN_SECONDS) == 0


def _workers(url: str) -> list[int]:
    """Return the number of workers of each stage."""
    with urllib.request.urlopen(f"{url}/api/stages", timeout=10) as response:  # noqa: S310
        return [len(stage["workers"]) for stage in json.load(response)["stages"]]


def _answer(url: str) -> str:
    """Return the answer to a message of a new session."""

    async def ask() -> str:
        async with aiohttp.ClientSession(url) as http:
            async with http.post("/token", params={"name": "Ada"}) as response:
                token = (await response.json())["token"]
            async with http.ws_connect("/chat", params={"token": token}) as socket:
                await socket.send_str("Hello")
                return str((await socket.receive_json(timeout=30))["msg"])

    return asyncio.run(ask())


def test_what_is_printed_of_a_model_shows_no_key() -> None:
    settings = Settings(model_url="https://ada:opensesame@model.example/v1?api_key=sesame2&page=1", model="m")
    assert (
        describe_model(settings) == "m at https://ada:…@model.example/v1?api_key=…&page=1 (chat-completions)"
    )
