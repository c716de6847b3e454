"""Many streamed answers leave memory and descriptors as they were.

MODEL_ANSWERS=10000 in the environment asks for more of them than a suite has time for.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import tracemalloc
from contextlib import aclosing

import pytest

from pipeline.models import ModelRequest, whole_answer
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.retry import Persistence, PersistentModel
from pipeline.models.silence import Patience

ANSWERS = int(os.environ.get("MODEL_ANSWERS", "500"))
AT_ONCE = 20
# Bytes that the interpreter's own caches may take between two measurements.
ALLOWED = 300_000


def descriptors() -> int:
    """Return how many files this process holds open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.timeout(600)
async def test_many_streamed_answers_leave_memory_and_descriptors_flat(
    separate_server: str, question: ModelRequest
) -> None:
    client = ChatCompletions(
        separate_server, model=None, token=None, patience=Patience(30, 30), max_tokens=25
    )
    model = PersistentModel(client, Persistence(attempts=1, deadline=60))

    async def ask(number: int) -> None:
        if number % 10:
            assert len((await whole_answer(model, question)).split()) == 20
            return
        # Every tenth is given up in the middle.
        async with aclosing(model.stream(question)) as stream:
            await anext(stream)

    async def ask_many(count: int) -> tuple[int, int]:
        for start in range(0, count, AT_ONCE):
            await asyncio.gather(*(ask(number) for number in range(start, start + AT_ONCE)))
        gc.collect()
        return tracemalloc.get_traced_memory()[0], descriptors()

    tracemalloc.start()
    try:
        memory, files = await ask_many(200)
        more_memory, more_files = await ask_many(ANSWERS)
    finally:
        tracemalloc.stop()
        await model.close()
    print(
        f"{ANSWERS} answers: {more_memory - memory:+d} bytes, {more_files - files:+d} descriptors, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB at most"
    )
    assert more_memory - memory < ALLOWED
    assert more_files <= files + AT_ONCE
