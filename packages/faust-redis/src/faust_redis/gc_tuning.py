"""Tune the garbage collector so that it does not delay messages."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["freeze_startup_objects"]

#: New objects before a collection. Python's default of 700 is a hundred messages, whose objects
#: are nearly all still in use.
NEW_OBJECTS: Final = 10_000

_done = False


def freeze_startup_objects() -> None:
    """Exclude existing objects from garbage collection, and collect new ones less often.

    Only the first call of a process has an effect.

    Modules, classes and settings are a hundred thousand objects that live until the end. To scan them all, as
    a full collection does, takes tens of milliseconds, during which the process is blocked. Call this
    before agents run: a stream that is set aside would not be collected when its agent ends, and it acks its
    last event only then.
    """
    global _done
    if not _done:
        _done = True
        gc.collect()
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
