"""Run the lab, by the settings in the environment; see the package."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from faust_redis.testing import eventually
from pipeline.settings import STAGES
from tests.behaviours.lab.clients import Crowd
from tests.behaviours.lab.faults import Troublemakers
from tests.behaviours.lab.scene import Scene, scene

# Faults under way at the same time, at most.
_AT_ONCE = 3
# Seconds within which all clients must be answered, and all processes be back, once all faults have ended.
_RECOVERY_SECONDS = 40.0


async def _lab(folder: Path, seed: int, *, proxied: bool) -> list[str]:
    """Run the lab; return the problems."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # so that all is ended
    seconds = float(os.environ.get("LAB_SECONDS", "300"))
    round_seconds = float(os.environ.get("LAB_ROUND", "45"))
    words = os.environ.get("LAB_FAULTS", "").split(",") if os.environ.get("LAB_FAULTS") else []
    sessions = int(os.environ.get("LAB_SESSIONS", "20"))
    problems: list[str] = []
    async with scene(folder, proxied=proxied) as place, Crowd([place.up.url], sessions, seed) as crowd:
        trouble = Troublemakers(place, seed, _AT_ONCE, words)
        for number in range(max(1, round(seconds / round_seconds))):
            await trouble.run(round_seconds)
            problems += await _recovered(place, crowd, f"round {number + 1}")
            if place.up.process.poll() is not None:
                return [*problems, *crowd.problems]
        for part in (*STAGES, "web", "fork server", "Redis"):
            place.say(f"once more: kill -9 {part}")
            pid = place.send(part, signal.SIGKILL, random.Random(seed))
            if part == "Redis":
                await place.restart_redis(0)
            if pid is None:
                problems.append(f"away: {part}")
            problems += await _recovered(place, crowd, f"{part} once more")
        await crowd.finish(_RECOVERY_SECONDS)
        errors = sum((Counter(client.ledger.errors) for client in crowd.clients), Counter())
        place.say(
            f"{crowd.answers} answers, {sum(client.sockets for client in crowd.clients)} sockets, "
            f"{sum(client.ledger.repeated for client in crowd.clients)} frames repeated, "
            f"errors {dict(errors)}"
        )
        return problems + crowd.problems


async def _recovered(place: Scene, crowd: Crowd, after: str) -> list[str]:
    """Wait until all is well again; return what is not."""
    seconds, waiting = await crowd.all_answered(_RECOVERY_SECONDS)
    problems = []
    for client in waiting:
        first = client.ledger.open[0]
        fields = ("$._turn", "$._inbox[*].id", "$._last", f'$._ids["{first.id}"]')
        kept = await place.order("JSON.GET", f"session:{{{client.token}}}", *fields)
        problems.append(
            f"hung: no answer {seconds:.0f} s after {after}: {client.ledger.name} ({client.token}) waits for "
            f"{first.text} ({first.id}, accepted: {first.accepted}); the session has {kept}"
        )
    try:
        await eventually(lambda: not place.missing(), "all processes", _RECOVERY_SECONDS)
    except AssertionError:
        problems += [f"away after {after}: {part}; {place.up.lines[-5:]}" for part in place.missing()]
    place.say(f"after {after}: all were answered after {seconds:.1f} s; {crowd.answers} answers so far")
    for problem in (*problems, *crowd.news()):
        place.say(f"PROBLEM {problem}")
    return problems


def main() -> None:
    """Run, and print the result."""
    seed = int(os.environ.get("LAB_SEED") or random.SystemRandom().randrange(1_000_000))
    kind = os.environ.get("LAB_REDIS", "embedded")
    folder = Path(tempfile.mkdtemp(prefix="parley-lab-"))
    print(f"LAB_SEED={seed} LAB_REDIS={kind}, logs in {folder}", flush=True)
    problems = asyncio.run(_lab(folder, seed, proxied=kind == "proxied"))
    for problem in problems:
        print(" ", problem)
    print(f"{len(problems)} problems: {dict(Counter(problem.partition(':')[0] for problem in problems))}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
