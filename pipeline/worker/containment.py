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

__all__ = ["end_when_stuck", "end_without_memory", "limit_memory", "limit_stop"]

logger = logging.getLogger(__name__)

#: Seconds of processor time after which an event loop that does not turn is stuck. Not of the clock: a
#: process that gets no processor, or was stopped, is not stuck. No handler of ours takes a fifth of it.
STUCK_SECONDS: Final = 0.5
#: Bytes of memory of a worker: ten times what one with full queues takes.
MEMORY_BYTES: Final = 1 << 30
#: Seconds within which a worker ends once the events at work are done, or have had their time. All that it
#: waits for then has limits of a few seconds. One that goes on holds its partitions, as it is still a member.
STOP_SECONDS: Final = 15.0
_STDERR: Final = 2
#: Seconds of processor time after which a turn of the event loop is asked for; an idle process has none.
TURN_SECONDS: Final = 0.15


async def end_when_stuck() -> None:
    """Have the kernel end this process with SIGVTALRM when the event loop no longer turns; until cancelled.

    A traceback of the code that runs then is printed first. One timer ends the process, and another one asks
    for a turn of the loop, which sets both again. Both count processor time, so that no timer wakes a process
    that does nothing. The one that ends the process leaves out the time of the kernel, so that it never comes
    before the other one.
    """
    loop = asyncio.get_running_loop()

    def turned() -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, STUCK_SECONDS)
        signal.setitimer(signal.ITIMER_PROF, TURN_SECONDS)

    # To the descriptor, because Faust has replaced sys.stderr.
    faulthandler.register(signal.SIGVTALRM, file=_STDERR, all_threads=False, chain=True)
    loop.add_signal_handler(signal.SIGPROF, turned)
    try:
        turned()
        await loop.create_future()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        # Without a handler a signal that is on its way would end the process.
        loop.add_signal_handler(signal.SIGPROF, _ignore)
        faulthandler.unregister(signal.SIGVTALRM)


def _ignore() -> None:
    """Do nothing."""


def limit_memory(*_args: Any, **_kwargs: Any) -> None:
    """Limit the memory of this process, so that a message that takes all of it does not end another one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, hard))


async def limit_stop(*_args: Any, **_kwargs: Any) -> None:
    """End this process, after a line for each task, if it has not stopped in time; call it as it stops."""
    asyncio.get_running_loop().call_later(STOP_SECONDS, _end_late)


def _end_late() -> None:
    lines = "".join(f"{task.get_name()} waits in {_places(task)}\n" for task in asyncio.all_tasks())
    os.write(_STDERR, lines.encode())
    logger.critical("stopping took longer than %g s, ending at once", STOP_SECONDS)
    # As after a crash: what is not acked comes again.
    os.kill(os.getpid(), signal.SIGKILL)


def _places(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: its coroutines, the outermost first, as file:line function."""
    places = []
    waiting: Any = task.get_coro()
    while waiting is not None:
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(waiting, f"{kind}_frame")), None)
        if kind is None or (frame := getattr(waiting, f"{kind}_frame")) is None:
            break
        code = frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{frame.f_lineno} {code.co_name}")
        waiting = getattr(waiting, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
    return " > ".join(places)


async def end_without_memory(handling: Coroutine[Any, Any, None]) -> None:
    """Await a coroutine; end this process with SIGKILL when it runs out of memory."""
    try:
        await handling
    except MemoryError:
        # No clean end: other messages would meet the same lack of memory.
        os.kill(os.getpid(), signal.SIGKILL)
