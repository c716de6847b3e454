"""The garbage collector, kept from holding up every message."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["freeze_startup_objects"]

#: New objects before the collector looks through them. Python's own 700 are a hundred messages, whose objects
#: are nearly all in use still.
NEW_OBJECTS: Final = 10_000

_done = False


def freeze_startup_objects() -> None:
    """Have the collector leave alone what is there now, and look more seldom at what is new.

    Only the first call of a process does anything.

    Modules, classes and settings are a hundred thousand objects that stay to the end. To look through all, as
    a full collection does, takes tens of milliseconds, in which the process answers nobody. To be called
    before agents run: a stream that is set aside would not be collected when its agent ends, and it acks its
    last event only then.
    """
    global _done
    if not _done:
        _done = True
        gc.collect()
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
