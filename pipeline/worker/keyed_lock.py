"""Handle many sessions at once, and the events of each in order."""

from __future__ import annotations

from asyncio import Lock
from typing import Any, Final
from weakref import WeakValueDictionary

#: Events that a stage handles at once. Each mostly waits for Redis, and concurrent commands share a round
#: trip. Fewer events leave the processor idle, more make each of them wait longer.
AT_ONCE: Final = 32

# A lock lives as long as a task holds it or waits for it.
_locks: WeakValueDictionary[Any, Lock] = WeakValueDictionary()


def in_order(event: Any) -> Lock:
    """Return a lock that admits the events of one key one at a time, in the order of the calls.

        async for event in stream.events():
            async with in_order(event):
                …

    The concurrent copies of an agent get events in the order of the stream. The order of each key is kept if
    nothing is awaited between getting an event and calling this function. Cancelling a waiting task admits
    the next one.
    """
    lock = _locks.get(event.key)
    if lock is None:
        lock = _locks[event.key] = Lock()
    return lock
