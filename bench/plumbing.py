"""The four-hop plumbing, beside other frameworks and bare redis-py: ``python -m bench plumbing``.

Each contender forwards messages of 200 bytes through four processes, at least once: a message is acked after
Redis has confirmed the message sent for it. The contenders take turns on one Redis, so that a slow phase of
the machine affects all of them. A turn is a burst, measured until its last message has left the last hop.

    BENCH_SECONDS   the length of a burst in seconds (5); the first round measures how many messages that is
    BENCH_MESSAGES  the number of messages of each burst instead
    BENCH_ROUNDS    the number of turns of each contender (3)
    BENCH_ONLY      the names of contenders, separated by commas
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from bench.contenders import BODY, HOPS, PEERS, Contender, Peer, contenders
from parley.loadtest.usage import cpu_seconds, process_tree
from parley.local.embedded import EmbeddedRedis

__all__ = ["Result", "run"]

#: Messages of the first burst, which warms a contender up and measures its speed.
TRIAL = 400
#: Seconds to wait for a hop to start, or for a burst to end.
TIMEOUT = 30.0
#: Seconds between counts of the messages that have left the last hop.
POLL_SECONDS = 0.01
#: The rate in messages per second, and the number of messages, at light load.
PACE, PACED = 20, 100
#: Entries added in one call; those of one stream among them have the same key.
FEED_PAGE = 512

_FEED = (Path(__file__).parent / "feed.lua").read_text(encoding="utf-8")
#: Returns the number of entries of all streams. A command for each would cost the bench more than the hops.
_COUNT = """
local count = 0
for _, stream in ipairs(KEYS) do
  count = count + redis.call('XLEN', stream)
end
return count
"""


@dataclass
class Result:
    """The measurements of one contender.

    Attributes:
        rates: messages per second in each turn.
        hop_cpu: µs of processor time per message in each turn, all four hops together.
        redis_cpu: µs of processor time of Redis per message in each turn.
        latencies: ms through all hops at light load, in all turns.
        problems: descriptions of lost, doubled or misordered messages.
    """

    rates: list[float] = field(default_factory=list)
    hop_cpu: list[float] = field(default_factory=list)
    redis_cpu: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median rate of the turns."""
        return statistics.median(self.rates)

    def latency(self, share: float) -> float:
        """Return the latency in ms that a share of the messages, from 0 to 1, does not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class ContenderTurn:
    """One turn of a contender: four processes, their input and their output."""

    def __init__(self, contender: Contender, server: EmbeddedRedis, client: Any) -> None:
        self.contender = contender
        self.client = client
        assert server.process is not None  # noqa: S101
        self.redis_pid = server.process.pid
        self.fields: list[bytes] = []
        self.hops: list[subprocess.Popen[bytes]] = []
        self._feed = client.register_script(_FEED)
        self._feeder: subprocess.Popen[bytes] | None = None
        self._count = client.register_script(_COUNT)
        self._fed = 0
        self._taken: dict[str, bytes] = {}

    @contextlib.contextmanager
    def running(self, url: str, folder: Path) -> Iterator[None]:
        """Start the hops, wait until messages have passed all of them, and end them afterwards."""
        self.client.flushall()
        self.fields = self.contender.sample(self.client, url)
        try:
            self.hops = [self.contender.start(hop, url, folder) for hop in range(HOPS)]
            self._wait_for_groups()
            self._feeder = self.contender.feeder(url)
            _, problems = self.pass_through(TRIAL)
            if problems:
                raise SystemExit(f"{self.contender.name} does not work: {problems}")
            yield
        finally:
            started = [*self.hops, self._feeder] if self._feeder is not None else self.hops
            for hop in started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(hop.pid, signal.SIGTERM)
            for hop in started:
                try:
                    hop.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(hop.pid, signal.SIGKILL)
                    hop.wait()

    def pass_through(self, count: int) -> tuple[float, list[str]]:
        """Send a burst and wait for its end; return its length in seconds, and its problems."""
        first = self._fed
        started = time.monotonic()
        self.feed(count)
        while (out := self._count_out()) < self._fed:
            if time.monotonic() - started > TIMEOUT:
                return time.monotonic() - started, [f"{self._fed - out} of {count} messages are lost"]
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started, self._check(first)

    def feed(self, count: int) -> None:
        """Add messages to the first hop, spread evenly over its streams."""
        if self._feeder is not None:
            self._ask_feeder(self._feeder, count)
            self._fed += count
            return
        streams = self.contender.streams(0)
        while count:
            page = min(count, FEED_PAGE)
            fed = streams[:page]
            keys = [part for at in range(len(fed)) for part in self.contender.key(at)]
            shape = [self.contender.entry_id, self._fed, page, len(self.fields), len(keys) // len(fed)]
            self._feed(fed, [*shape, BODY, *self.fields, *keys])
            self._fed += page
            count -= page

    def _ask_feeder(self, feeder: subprocess.Popen[bytes], count: int) -> None:
        assert feeder.stdin is not None and feeder.stdout is not None  # noqa: S101, PT018
        feeder.stdin.write(b"%d %d\n" % (self._fed, count))
        feeder.stdin.flush()
        if not feeder.stdout.readline():
            raise SystemExit(f"the feed of {self.contender.name} has ended")

    def trickle(self) -> list[float]:
        """Send single messages at a slow pace; return the latency of each in ms."""
        streams = dict.fromkeys(self.contender.streams(HOPS), "$")
        for stream in streams:
            last = self.client.xrevrange(stream, count=1)
            streams[stream] = last[0][0] if last else "0"
        latencies = []
        for _ in range(PACED):
            started = time.monotonic()
            self.feed(1)
            found = self.client.xread(dict(streams), block=int(TIMEOUT * 1000))
            latencies.append((time.monotonic() - started) * 1000)
            for stream, entries in found:
                streams[stream.decode()] = entries[-1][0]
            time.sleep(max(0.0, 1 / PACE - (time.monotonic() - started)))
        self._check(self._fed - PACED)
        return latencies

    def cpu(self) -> tuple[float, float]:
        """Return the seconds of processor time that the hops have used so far, and those of Redis."""
        pids = [pid for hop in self.hops for pid in process_tree(hop.pid)]
        return sum(map(cpu_seconds, pids)), cpu_seconds(self.redis_pid)

    def _wait_for_groups(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        waiting = [stream for hop in range(HOPS) for stream in self.contender.streams(hop)]
        while waiting:
            with contextlib.suppress(redis.ResponseError):
                if self.client.xinfo_groups(waiting[-1]):
                    waiting.pop()
                    continue
            if time.monotonic() > deadline or any(hop.poll() is not None for hop in self.hops):
                raise SystemExit(f"{self.contender.name} does not start: no consumer reads {waiting[-1]}")
            time.sleep(POLL_SECONDS)

    def _count_out(self) -> int:
        return int(self._count(self.contender.streams(HOPS)))

    def _check(self, first: int) -> list[str]:
        """Return the problems of the messages from number ``first`` on."""
        seen: list[int] = []
        problems = []
        for stream in self.contender.streams(HOPS):
            start = b"(" + self._taken[stream] if stream in self._taken else b"-"
            entries = self.client.xrange(stream, min=start)
            numbers = self.contender.numbers(self.client, entries)
            if numbers != sorted(numbers) and self.contender.partitions:
                problems.append(f"{stream} is out of order")
            seen += numbers
            if entries:
                self._taken[stream] = entries[-1][0]
        wanted = set(range(first, self._fed))
        if doubled := len(seen) - len(set(seen)):
            problems.append(f"{doubled} messages are doubled")
        if lost := len(wanted.difference(seen)):
            problems.append(f"{lost} messages are lost")
        return problems


def run(chosen: list[Contender], rounds: int, seconds: float, messages: int | None) -> dict[str, Result]:
    """Run all turns of all contenders.

    Args:
        seconds: the approximate length of a burst.
        messages: the number of messages of a burst; ``None`` for as many as take ``seconds``.
    """
    results = {contender.name: Result() for contender in chosen}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        folder = Path(name)
        with (
            EmbeddedRedis(folder / "redis") as server,
            redis.Redis.from_url(server.url, socket_timeout=2 * TIMEOUT) as client,
        ):
            for number in range(rounds):
                for contender in chosen:
                    result = results[contender.name]
                    turn = ContenderTurn(contender, server, client)
                    with turn.running(server.url, folder):
                        if contender.name not in sizes:
                            sizes[contender.name] = messages or _size(turn, seconds)
                        _burst(turn, sizes[contender.name], result)
                        result.latencies += turn.trickle()
                    print(
                        f"round {number + 1}, {contender.name}: {result.rates[-1]:,.0f} messages/s",
                        *result.problems,
                        file=sys.stderr,
                    )
    return results


def _size(turn: ContenderTurn, seconds: float) -> int:
    """Return how many messages take a contender this long, from two bursts: the first may be too short."""
    count = TRIAL
    for goal in (1.0, seconds):
        took, _ = turn.pass_through(count)
        count = max(TRIAL, int(goal * count / took))
    return count


def _burst(turn: ContenderTurn, count: int, result: Result) -> None:
    hops, server = turn.cpu()
    took, problems = turn.pass_through(count)
    hops_after, server_after = turn.cpu()
    result.rates.append(count / took)
    result.hop_cpu.append((hops_after - hops) / count * 1e6)
    result.redis_cpu.append((server_after - server) / count * 1e6)
    result.problems += problems


def table(results: dict[str, Result]) -> list[str]:
    """Return the lines of a Markdown table; ratios are to the last contender, bare redis-py."""
    floor = list(results.values())[-1].rate
    lines = [
        "| | messages/s | of bare redis-py | µs of CPU per message: 4 hops | Redis | light load p50 | p99 |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, result in results.items():
        lines.append(
            f"| {name} | {result.rate:,.0f} | {result.rate / floor:.2f} "
            f"| {statistics.median(result.hop_cpu):,.0f} | {statistics.median(result.redis_cpu):,.0f} "
            f"| {result.latency(0.5):.1f} ms | {result.latency(0.99):.1f} ms |"
        )
    return lines


def measure() -> tuple[list[str], list[str]]:
    """Run the bench with the settings of the environment.

    Returns:
        The lines of its table, with a line for each problem of a peer; and the problems of the transport and
        of the bare loops, which make the bench fail.
    """
    chosen = contenders(partitions=int(os.environ.get("BENCH_PARTITIONS", "8")))
    if only := os.environ.get("BENCH_ONLY"):
        chosen = [contender for contender in chosen if contender.name in only.split(",")]
    if not PEERS.exists() and any(isinstance(contender, Peer) for contender in chosen):
        raise SystemExit("The peers are not installed: run it with `make bench`")
    messages = int(os.environ["BENCH_MESSAGES"]) if "BENCH_MESSAGES" in os.environ else None
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    results = run(chosen, rounds, float(os.environ.get("BENCH_SECONDS", "5")), messages)
    ours: list[str] = []
    theirs: list[str] = []
    for contender in chosen:
        problems = theirs if isinstance(contender, Peer) else ours
        problems += [f"{contender.name}: {problem}" for problem in results[contender.name].problems]
    return table(results) + ["", *theirs] * bool(theirs), ours
