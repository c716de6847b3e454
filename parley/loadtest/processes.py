"""Run a test in as many processes as its plan names.

Each further process reads its share of the plan from the first line of its standard input. It reports when it
is ready, and begins with the second line, which all processes get at the same time, so that their seconds
agree. Then it repeatedly writes its measurements so far as lines of JSON; the
last line is complete. At the end of its input it sends no more messages, so it also ends with its parent.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import uvloop

from parley.loadtest.generator import Watch, generate
from parley.loadtest.idle import IdleSockets, Memory
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan
from pipeline.errors import ParleyError

# Bytes of a line: an hour's measures are some megabytes.
_LINE_LIMIT = 2**28
_READY, _GO = b"ready\n", b"go\n"


async def run(
    plan: LoadPlan,
    watch: Watch | None = None,
    stop: asyncio.Event | None = None,
    memory: Memory | None = None,
) -> Measures:
    """Run a test in the planned number of processes, and return its measurements.

    Args:
        watch: called repeatedly with the measurements of all processes so far.
        stop: when it is set, no more messages are sent, and outstanding answers are awaited briefly.
        memory: returns the memory of the web processes, for the cost of an idle socket.

    Raises:
        ParleyError: a process ended without a result.

    Cancelling it ends the processes at once; ``watch`` has received their measurements until then.
    """
    async with IdleSockets(plan.base) as idle:

        def report(measures: Measures) -> None:
            measures.idle = idle.figures
            if watch is not None:
                watch(measures)

        stop = stop or asyncio.Event()
        await idle.open(plan.idle, stop, memory)
        measures = await _generated(plan.shares(), report, stop)
        # Measured now, before the sockets are closed.
        measures.idle = replace(idle.figures)
        return measures


async def _generated(shares: list[LoadPlan], watch: Watch, stop: asyncio.Event) -> Measures:
    if len(shares) == 1:
        return await generate(shares[0], watch, stop)
    parts = [Measures() for _ in shares]

    def heard(number: int, latest: Measures) -> None:
        before = parts[number].seconds
        # Only new seconds are merged each time: all seconds of a long test would keep this process busy.
        parts[number] = latest
        watch(_merged([_recent(part) for part in parts]))
        latest.seconds = before | latest.seconds

    try:
        begin = asyncio.Barrier(len(shares))
        work = [_elsewhere(share, partial(heard, number), stop, begin) for number, share in enumerate(shares)]
        return _merged(await asyncio.gather(*work))
    except asyncio.CancelledError:
        watch(_merged(parts))
        raise


def _merged(parts: list[Measures]) -> Measures:
    total = Measures()
    total.merge(parts)
    return total


def _recent(measures: Measures) -> Measures:
    latest = max(measures.seconds, default=0)
    return replace(measures, seconds={at: each for at, each in measures.seconds.items() if at >= latest - 1})


async def _elsewhere(
    plan: LoadPlan, heard: Callable[[Measures], None], stop: asyncio.Event, begin: asyncio.Barrier
) -> Measures:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT,
        start_new_session=True,  # Ctrl-C is handled by the reporting process, which ends this one
    )
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(plan.dumps().encode() + b"\n")
    telling = asyncio.create_task(_close_when(stop, process.stdin))
    starting = None
    measures = None
    try:
        async for line in process.stdout:
            if line == _READY:
                starting = asyncio.create_task(_start(begin, process.stdin))
                continue
            measures = Measures.from_json(json.loads(line))
            heard(measures)
        status = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    finally:
        telling.cancel()
        if starting is not None:
            starting.cancel()
    if status or measures is None:
        raise ParleyError(f"a process of the load generator ended with status {status}")
    return measures


async def _start(begin: asyncio.Barrier, stdin: asyncio.StreamWriter) -> None:
    await begin.wait()
    with suppress(ConnectionError, RuntimeError):  # closed, as the test was stopped before it began
        stdin.write(_GO)


async def _close_when(stop: asyncio.Event, stdin: asyncio.StreamWriter) -> None:
    await stop.wait()
    stdin.close()


async def _share() -> None:
    """Run the share on standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    plan, stop, go = LoadPlan.loads((await reader.readline()).decode()), asyncio.Event(), asyncio.Event()

    async def listen() -> None:
        if await reader.readline() == _GO:
            go.set()
            await reader.read()
        stop.set()

    async def gate() -> None:
        sys.stdout.write(_READY.decode())
        sys.stdout.flush()
        await go.wait()

    reported = 0

    def report(measures: Measures) -> None:
        nonlocal reported
        _write(measures.to_json(since=reported))
        # The second that runs is reported once more when it is over.
        reported = max(measures.seconds, default=0)

    listening = asyncio.create_task(listen())
    measures = await generate(plan, report, stop, gate)
    listening.cancel()
    _write(measures.to_json())


def _write(found: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(_share())
