"""One client attacks and another talks: the second notices nothing, and nothing grows beyond its budget.

ATTACKS_SCALE multiplies the size of each attack; `make attacks` runs them at their full size.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import redis

from faust_redis.testing import eventually
from tests.behaviours.attacks.bystander import Noticed, bystanders
from tests.support.service import CLONE, Up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SCALE = float(os.environ.get("ATTACKS_SCALE", "0.1"))

# The budget of docs/operations.md. Seconds, and bytes that a process may take more than before.
P99_SECONDS = 2.0
WEB_BYTES = 192 << 20
REDIS_BYTES = 128 << 20
# An attack that goes on is logged once a minute.
MOST_LINES = 3


async def attack(up: Up, name: str, count: int) -> dict[str, int]:
    """Run an attack from a process of its own, and return what it was answered."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.behaviours.attacks.attackers", name, up.url, str(count)),
        cwd=CLONE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    answered: dict[str, int] = json.loads(out)
    return answered


def web_bytes(up: Up) -> int:
    """Return the memory of the web process."""
    status = Path(f"/proc/{up.webs()[0]}/status").read_text("ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def redis_bytes(up: Up) -> int:
    """Return the most that Redis used since the last look."""
    with redis.Redis.from_url(up.redis_url) as client:
        used = client.info("memory")
        return int(max(used["used_memory"], used["used_memory_peak"]))


def lines_of(up: Up, reason: str) -> list[str]:
    """Return the lines of the log on refusals for a reason."""
    return [line for line in up.lines if "requests are refused" in line and f'"{reason}"' in line]


async def more_noticed(noticed: Noticed) -> None:
    """Wait until some more messages of the others are answered."""
    goal = len(noticed.seconds) + 9
    await eventually(lambda: len(noticed.seconds) >= goal, "answers of the others", 60)


async def endured(up: Up, name: str, count: int, p99_seconds: float = P99_SECONDS) -> dict[str, int]:
    """Run an attack while others talk; fail when they notice it, or when memory goes beyond the budget."""
    web, store = web_bytes(up), redis_bytes(up)
    async with bystanders(up.url) as noticed:
        await more_noticed(noticed)
        answered = await attack(up, name, max(1, int(count * SCALE)))
        await more_noticed(noticed)
    print(
        f"{name}: {dict(answered)}; others: {len(noticed.seconds)} answers, p99 {noticed.p99 * 1000:.0f} ms, "
        f"refused {dict(noticed.refusals)}; web +{(web_bytes(up) - web) >> 20} MiB, "
        f"Redis +{(redis_bytes(up) - store) >> 20} MiB"
    )
    assert not noticed.refusals
    assert noticed.p99 < p99_seconds
    assert web_bytes(up) - web < WEB_BYTES
    assert redis_bytes(up) - store < REDIS_BYTES
    return answered


async def test_one_message_sent_again_and_again(up: Up) -> None:
    answered = await endured(up, "repeats", 20_000)
    assert (answered["message"], answered.get("rate_limited", 0)) == (1, 0)
    assert len(lines_of(up, "message_rate")) == 1


async def test_many_messages_of_one_session(up: Up) -> None:
    answered = await endured(up, "messages", 60_000)
    assert answered["rate_limited"] > answered["message"] >= 50
    assert "busy" not in answered


async def test_many_messages_by_the_plain_protocol(up: Up) -> None:
    answered = await endured(up, "plain", 20_000)
    assert answered["rate_limited"] > answered["message"] >= 50


async def test_many_sessions_of_one_address(up: Up) -> None:
    answered = await endured(up, "tokens", 50_000)
    assert answered["429"] > answered.get("200", 0)
    assert len(lines_of(up, "address_token_rate")) == 1


async def test_many_sockets_opened_and_closed(up: Up) -> None:
    await endured(up, "sockets", 10_000)


async def test_a_session_as_long_as_it_may_be_read_by_those_who_hang_up(unlimited: Up) -> None:
    answered = await endured(unlimited, "long_history", 1000)
    assert answered["came back"] == 60
    if SCALE >= 0.1:
        assert answered["session_full"] == 1


async def test_repeats_where_rates_are_lifted(unlimited: Up) -> None:
    answered = await endured(unlimited, "repeats", 20_000)
    assert (answered["message"], answered.get("session_busy", 0)) == (1, 0)


async def test_messages_of_one_session_where_rates_are_lifted(unlimited: Up) -> None:
    answered = await endured(unlimited, "messages", 20_000)
    assert answered["session_busy"] > 0
    assert "busy" not in answered


@pytest.mark.skipif(SCALE < 1, reason="the tests of the web have the short forms: `make attacks`")
@pytest.mark.parametrize(
    ("name", "count", "reason"),
    [
        ("controls", 40_000, None),
        ("reads", 10_000, "address_read_rate"),
        ("endings", 3_000, "address_token_rate"),
        ("strange_requests", 10_000, "admin_unset"),
        ("silent", 1_500, None),
    ],
)
async def test_other_ways_of_one_client_cost_the_others_nothing(
    up: Up, name: str, count: int, reason: str | None
) -> None:
    await endured(up, name, count)
    lines = [line for line in up.lines if f'"reason": "{reason}"' in line]
    assert reason is None or 1 <= len(lines) <= MOST_LINES
    assert not [line for line in up.lines if "Traceback" in line]
