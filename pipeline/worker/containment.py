"""End a worker that a message has made unable to work, so that its successor can serve the others.

A handler that never returns to the event loop, or takes all memory, stops every session of its stage. The
process then ends as if it had crashed, and the transport finds out which message did it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import resource
import signal
from collections.abc import Coroutine
from typing import Any, Final

__all__ = ["end_when_stuck", "end_without_memory", "limit_memory"]

logger = logging.getLogger(__name__)

#: Seconds of processor time after which an event loop that does not turn is stuck. Not of the clock: a
#: process that gets no processor, or was stopped, is not stuck. No handler of ours takes a fifth of it.
STUCK_SECONDS: Final = 0.5
#: Bytes of memory of a worker: ten times what one with full queues takes.
MEMORY_BYTES: Final = 1 << 30
_STDERR: Final = 2
#: Seconds between two turns that count.
TURN_SECONDS: Final = 0.15


async def end_when_stuck() -> None:
    """Have the kernel end this process with SIGPROF when the event loop no longer turns; until cancelled.

    A traceback of the code that runs then is printed first.
    """
    # To the descriptor, because Faust has replaced sys.stderr.
    faulthandler.register(signal.SIGPROF, file=_STDERR, all_threads=False, chain=True)
    try:
        while True:
            signal.setitimer(signal.ITIMER_PROF, STUCK_SECONDS)
            await asyncio.sleep(TURN_SECONDS)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.unregister(signal.SIGPROF)


def limit_memory(*_args: Any, **_kwargs: Any) -> None:
    """Limit the memory of this process, so that a message that takes all of it does not end another one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, hard))


async def end_without_memory(handling: Coroutine[Any, Any, None]) -> None:
    """Await a coroutine; end this process with SIGKILL when it runs out of memory."""
    try:
        await handling
    except MemoryError:
        # No clean end: other messages would meet the same lack of memory.
        os.kill(os.getpid(), signal.SIGKILL)
