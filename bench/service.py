"""The whole service beside a minimal chat service: ``make bench``, or ``python -m bench service``.

Both use the same client, and the same model, which answers at once. The difference is the cost of sessions,
history, order, durability and four stages. A second table shows its growth when one parameter changes.

    BENCH_TURNS   the number of turns of each measurement (4000)
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import uvloop

from bench.contenders import ROOT
from bench.talk import Talk, Times
from parley.loadtest.usage import cpu_seconds, process_tree
from parley.local.ports import free_port
from tests.support.service import started

#: The rate in turns per second, and the number of turns, at light load.
PACE, PACED = 20, 200
SOCKETS = 100


@contextlib.contextmanager
def model(latency: float = 0.0) -> Iterator[str]:
    """Run a model server that answers after ``latency`` seconds, and yield its address."""
    command = [sys.executable, "-m", "tests.support.model_server", "--port", "0", "--latency", str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None  # noqa: S101
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None  # noqa: S101
        try:
            yield found.group().rstrip("/")
        finally:
            process.terminate()


@contextlib.contextmanager
def floor(model_url: str) -> Iterator[tuple[str, int]]:
    """Run the minimal service, and yield its address and process id."""
    port = free_port()
    command = [sys.executable, "-m", "bench.floor", str(port), model_url]
    with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: S603
        try:
            asyncio.run(_wait_for(f"http://127.0.0.1:{port}/token"))
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()


@contextlib.contextmanager
def parley(model_url: str, infer_workers: int = 1, **settings: str) -> Iterator[tuple[str, int]]:
    """Run the service with all its stages, and yield its address and the id of the parent process.

    By then the partitions are assigned to the ``infer_workers`` workers.
    """
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        folder = Path(name)
        variables = {"MODEL_URL": f"{model_url}/v1", "APP_ENV": "production", **settings}
        with started(folder, **variables) as up, contextlib.ExitStack() as more:
            for number in range(1, infer_workers):
                worker = up.start_agent("infer", folder / f"infer-{number}.log")
                more.callback(worker.wait)
                more.callback(worker.terminate)
            asyncio.run(_wait_for_workers(up.url, infer_workers))
            yield up.url, up.process.pid


async def closed(url: str, sockets: int, turns: int) -> Times:
    """Warm up, then measure turns in a closed loop."""
    async with Talk(url, sockets) as talk:
        await talk.closed_loop(3)
        return await talk.closed_loop(max(1, turns // sockets))


async def light(url: str) -> Times:
    """Measure turns at light load."""
    async with Talk(url, 10) as talk:
        await talk.closed_loop(3)
        return await talk.paced(PACE, PACED)


async def long_sessions(url: str, lengths: tuple[int, ...]) -> dict[int, Times]:
    """Measure sessions with histories of these lengths, interleaved, so that noise affects all of them."""
    times = {messages: Times() for messages in lengths}
    sessions: dict[int, Talk] = {}
    async with contextlib.AsyncExitStack() as talks:
        # The longest first: an idle socket is not read, answers no pings, and is closed after a while.
        for messages in sorted(lengths, reverse=True):
            talk = sessions[messages] = await talks.enter_async_context(Talk(url, 1))
            await talk.closed_loop(3 + messages // 2)
        for _ in range(5):
            for messages, talk in sessions.items():
                measured = await talk.closed_loop(40)
                times[messages].seconds += measured.seconds
                times[messages].latencies += measured.latencies
    return times


def beside_the_floor(turns: int) -> list[str]:
    """Return the lines of a table: the service beside the minimal one."""
    lines = [
        f"| | turns/s, {SOCKETS} sockets | p50 | p99 | µs of CPU per turn | {PACE} turns/s: p50 | p99 |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    with model() as model_url:
        for name, start in (("socket + model call", floor), ("Parley", parley)):
            with start(model_url) as (url, pid):
                before = _cpu(pid)
                full = uvloop.run(closed(url, SOCKETS, turns))
                cpu = (_cpu(pid) - before) / (len(full.latencies) + 3 * SOCKETS) * 1e6
                slow = uvloop.run(light(url))
            lines.append(
                f"| {name} | {full.rate:,.0f} | {full.latency(0.5):.0f} ms | {full.latency(0.99):.0f} ms "
                f"| {cpu:,.0f} | {slow.latency(0.5):.1f} ms | {slow.latency(0.99):.1f} ms |"
            )
    return lines


def growth(turns: int) -> list[str]:
    """Return the lines of a table: the effect of sockets, history, partitions and workers."""
    lines = ["| changed | to | turns/s | p50 | p99 |", "|---|--:|--:|--:|--:|"]

    def row(changed: str, to: object, times: Times) -> None:
        p50, p99 = times.latency(0.5), times.latency(0.99)
        lines.append(f"| {changed} | {to} | {times.rate:,.0f} | {p50:.1f} ms | {p99:.1f} ms |")

    with model() as model_url:
        with parley(model_url) as (url, _):
            for sockets in (1, 10, 100, 400):
                row("sockets (sessions) that talk", sockets, uvloop.run(closed(url, sockets, turns // 2)))
            for messages, times in uvloop.run(long_sessions(url, (0, 1_000, 10_000))).items():
                row("messages in the history", f"{messages:,}", times)
        for partitions in (1, 32):
            with parley(model_url, PARTITIONS=str(partitions)) as (url, _):
                row("partitions (else 8)", partitions, uvloop.run(closed(url, SOCKETS, turns // 2)))
    with model(latency=0.1) as model_url:
        for workers in (1, 2, 4):
            with parley(model_url, workers, INFER_CONCURRENCY="4") as (url, _):
                times = uvloop.run(closed(url, 64, turns * 4 // 25 * workers))
                row("infer workers of 4 at once, a model that takes 100 ms", workers, times)
    return lines


def _cpu(pid: int) -> float:
    return sum(map(cpu_seconds, process_tree(pid)))


async def _wait_for(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(200):
            with contextlib.suppress(aiohttp.ClientError):
                async with http.post(url):
                    return
            await asyncio.sleep(0.05)
    raise SystemExit(f"no server answers at {url}")


async def _wait_for_workers(url: str, count: int) -> None:
    async with aiohttp.ClientSession(url) as http:
        for _ in range(600):
            async with http.get("/api/stages") as response:
                stages = {stage["name"]: stage for stage in (await response.json())["stages"]}
            owners = {partition["owner"] for partition in stages["infer"]["partitions"]}
            if stages["infer"]["settled"] and len(owners - {None}) == count:
                return
            await asyncio.sleep(0.1)
    raise SystemExit(f"the partitions were not assigned to {count} infer workers")
