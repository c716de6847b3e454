"""The garbage collector, kept from holding up a turn."""

from __future__ import annotations

import gc

__all__ = ["set_aside"]


def set_aside() -> None:
    """Have the collector leave alone what is there now; call it once a process has started.

    Modules, classes and settings are a hundred thousand objects that stay to the end. To look through all,
    as a full collection does, takes tens of milliseconds, in which the process answers nobody.
    """
    gc.collect()
    gc.freeze()
