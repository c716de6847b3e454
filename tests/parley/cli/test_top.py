"""`parley top`: the stages in a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis
from rich.console import Console

from faust_redis.testing import RedisServer, wait_until
from faust_redis.watching import RecordedHistory, Recorder
from parley.cli.figures import duration
from parley.cli.times import moment
from parley.cli.top import ranges, trend, workers_table
from pipeline.redis.keys import HISTORY
from pipeline.settings import STAGES
from pipeline.telemetry.stages.past import contents_of
from pipeline.telemetry.stages.snapshot import WorkerSnapshot
from pipeline.telemetry.stages.watch import StageWatch

TOP = [sys.executable, "-m", "parley.cli", "top"]


def environment(redis_url: str, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "REDIS_URL": redis_url, **more}


@pytest.mark.parametrize("columns", ["80", "120", "160"])
def test_once_prints_every_stage_with_its_state_in_a_terminal_of_any_width(
    redis_url: str, tmp_path: Path, columns: str
) -> None:
    env = environment(redis_url, COLUMNS=columns)
    done = subprocess.run([*TOP, "--once"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    for stage in STAGES:
        assert f"{stage} is stopped: no worker" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= int(columns)


def test_once_as_json_is_what_the_api_gives(redis_url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*TOP, "--once", "--json"], cwd=tmp_path, env=environment(redis_url), capture_output=True, check=True
    )
    snapshot = json.loads(done.stdout)
    assert [stage["name"] for stage in snapshot["stages"]] == list(STAGES)


async def test_the_figures_of_a_past_time_are_those_that_were_recorded(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    snapshot = await StageWatch(redis, STAGES).snapshot()
    snapshot = replace(snapshot, stages=[replace(each, lag=77) for each in snapshot.stages])
    await Recorder(RecordedHistory(redis, HISTORY, "n1")).offer(contents_of(snapshot), 1)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command, env = [*TOP, *arguments], environment(redis_url, COLUMNS="120")
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    shown = run("--at", "0s")
    assert "the most urgent moment of 10 s" in shown.stdout
    assert shown.stdout.count("77") == len(STAGES)
    assert json.loads(run("--at", "0s", "--json").stdout)["stages"][0]["lag"] == 77
    assert "no figures were recorded near that time" in run("--at", "20h").stderr
    assert "'soon' is no time such as" in run("--at", "soon").stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", "2026-11-28T13:58:30"),
        ("10m", "2026-11-28T13:50:00"),
        ("2h", "2026-11-28T12:00:00"),
        ("13:05", "2026-11-28T13:05:00"),
        ("23:05:07", "2026-11-27T23:05:07"),
        ("2026-11-28 01:02", "2026-11-28T01:02:00"),
    ],
)
def test_a_time_is_read_as_people_type_it(text: str, expected: str) -> None:
    now = datetime.fromisoformat("2026-11-28T14:00:00").astimezone()
    assert moment(text, now) == datetime.fromisoformat(expected).timestamp()


def test_without_a_redis_it_says_so_in_one_line(tmp_path: Path) -> None:
    env = environment("redis://127.0.0.1:1/0")
    done = subprocess.run(
        [*TOP, "--once"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("parley: Redis does not answer")
    assert len(done.stderr.splitlines()) == 1


def test_in_a_terminal_it_goes_on_until_it_is_interrupted(redis_url: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    env = environment(redis_url, TERM="xterm", COLUMNS="120", LINES="40")
    process = subprocess.Popen(TOP, cwd=tmp_path, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    said = b""

    def read() -> None:
        nonlocal said
        with suppress(OSError):  # there is nothing at the moment, or nobody any more
            said += os.read(ours, 65536)

    def heard() -> bool:
        read()
        return said.count(b"deliver is stopped") >= 2

    def ended() -> bool:
        read()  # a terminal that nobody reads is full at some time, and who writes to it waits
        return process.poll() is not None

    try:
        wait_until(heard, "two looks are shown")
        process.send_signal(2)
        wait_until(ended, "it ends")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_figures_of_all_apps_go_on_after_an_outage(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    command = [*TOP, "--redis", server.url, "--json"]
    with server, subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "apps" in json.loads(process.stdout.readline())

            server.kill()
            seen: dict[str, object] = {}
            while "error" not in seen:
                seen = json.loads(process.stdout.readline())
            server.start()

            while "apps" not in seen:
                seen = json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_workers_cuts_nothing_off(width: int) -> None:
    worker = WorkerSnapshot(
        id="host-17-abcdef",
        alive=True,
        silent=False,
        heartbeat_age=0.25,
        partitions=[0, 1, 2, 5, 8, 9, 13, 17, 21, 25, 29],
        uptime=4000.0,
        rate=1234.5,
        handled=1_234_567,
        failed=3,
        working=250,
    )
    console = Console(width=width, file=io.StringIO())
    console.print(workers_table([("deliver", worker)], width))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    shown = ("deliver", worker.id, "250 ms", "250", "1,234", "3", "0-2,", "29")
    assert [each for each in shown if each not in text] == []
    assert "…" not in text


def test_figures_are_short() -> None:
    seconds = [None, 0.0004, 0.012, 1.24, 42.0, 186.0, 7500.0]
    assert [duration(s) for s in seconds] == ["-", "0.4 ms", "12 ms", "1.2 s", "42 s", "3:06 min", "2:05 h"]
    assert [ranges(n) for n in ([], [3], [0, 1, 2, 5], [0, 2])] == ["none", "3", "0-2, 5", "0, 2"]


def test_the_course_of_a_stage_is_a_line_of_blocks() -> None:
    assert trend([]) == ""
    assert trend([0.0] * 12) == "▁▁"
    assert trend([None, *[10.0] * 5, *[5.0] * 6, *[0.0] * 6]) == "█▄▁"
