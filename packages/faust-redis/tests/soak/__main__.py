"""A long time of the same load: what grows that should not? `make soak` runs it.

SOAK_SECONDS says how long (3600), SOAK_RATE how many events a second (200). One worker stays from beginning
to end; the other is stopped or killed, in turns, and another takes its place. The exit status is 1 when
something has grown, or an event was lost, came out of the order of its key, or came twice though nobody was
killed who had it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.soak.course import soaking
from tests.soak.growth import HEADING, growths

#: Seconds between samples, at the most; a short soak takes SAMPLES of them.
INTERVAL = 10.0
SAMPLES = 60
#: Seconds between the ends of workers, at the most; a short soak has REPLACED of them.
REPLACE_EVERY = 60.0
REPLACED = 6


async def soak(seconds: float, rate: float, folder: Path) -> bool:
    """Soak and print what came of it; return whether all is well."""
    interval, replace_every = min(INTERVAL, seconds / SAMPLES), min(REPLACE_EVERY, seconds / REPLACED)
    async with soaking(folder) as course:
        course.join()
        await course.run(seconds, rate, interval, replace_every)
        stuck = ""
        try:
            await course.settle()
        except AssertionError as error:
            stuck = str(error)
        faults, figures = course.faults(), growths(course.samples)
    print(HEADING, *figures, sep="\n")
    journal = course.journal
    print(f"{course.load.total} events sent, {journal.handled} handled, {journal.again} of them again")
    print(f"{len(journal.killed)} workers killed, {course.stopped} stopped")
    for kind, events in faults.items():
        print(f"{kind}: {len(events)}, such as {', '.join(events[:5])}")
    good = not (stuck or faults or any(figure.too_much for figure in figures))
    print("good" if good else stuck or "broken")
    return good


def main() -> int:
    """Run for SOAK_SECONDS at SOAK_RATE."""
    seconds, rate = float(os.environ.get("SOAK_SECONDS", "3600")), float(os.environ.get("SOAK_RATE", "200"))
    with tempfile.TemporaryDirectory() as folder:
        return 0 if asyncio.run(soak(seconds, rate, Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main())
