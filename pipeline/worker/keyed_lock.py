"""Many sessions at the same time, each of them in order."""

from __future__ import annotations

from asyncio import Lock
from typing import Any, Final
from weakref import WeakValueDictionary

#: Events that a stage works on at once. Most of the time of each is a wait for Redis, and what several ask
#: of it in the same moment goes out together. Fewer leave the processor idle, more make each wait longer.
AT_ONCE: Final = 32

# A lock lives as long as somebody holds it or waits for it.
_locks: WeakValueDictionary[Any, Lock] = WeakValueDictionary()


def in_order(event: Any) -> Lock:
    """Return what lets events of one key through one at a time, in the order in which they asked.

        async for event in stream.events():
            async with in_order(event):
                …

    The concurrent copies of an agent get their events in the order of the stream. So does each key, if
    nothing is awaited between getting an event and asking here. Cancelling who waits lets the next one
    through in its turn.
    """
    lock = _locks.get(event.key)
    if lock is None:
        lock = _locks[event.key] = Lock()
    return lock
