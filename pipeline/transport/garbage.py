"""The garbage collector, kept from holding up every message."""

from __future__ import annotations

import gc

__all__ = ["set_start_up_aside"]

_done = False


def set_start_up_aside() -> None:
    """Have the collector leave alone what is there now. Only the first call of a process does anything.

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
