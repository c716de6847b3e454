"""The requests that a program which feeds the first hop reads from its input: a first number and a count."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator


async def requests() -> AsyncIterator[str]:
    """Yield the lines of the input."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield line


def bodies_of(request: str) -> Iterator[str]:
    """Yield the messages of a request: 200 bytes each, with its number."""
    first, count = map(int, request.split())
    for number in range(first, first + count):
        yield f"<{number:0198}>"
