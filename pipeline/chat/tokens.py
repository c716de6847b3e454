"""Tokens of new sessions, dealt so that every partition, and with it every worker, gets as many of them."""

from __future__ import annotations

import uuid
from typing import Final

from faust_redis import partition_for_key

#: Tokens drawn for one session at the most. With 8 partitions 3 are drawn as a rule.
DRAWS: Final = 32


class Tokens:
    """Draws random tokens, and keeps the one whose partition has the fewest so far.

    By chance alone, 64 sessions on 4 workers are 16 on each, and 23 on one of them: that one decides how fast
    all are. A web process knows only of the tokens it gave out itself, which comes to the same.
    """

    def __init__(self, partitions: int) -> None:
        """Take the number of partitions of a topic."""
        self._dealt = [0] * partitions

    def draw(self) -> str:
        """Return a token: a random UUID, version 4."""
        dealt = self._dealt
        least = min(dealt)
        token, partition = self._any()
        for _ in range(DRAWS - 1):
            if dealt[partition] == least:
                break
            other = self._any()
            if dealt[other[1]] < dealt[partition]:
                token, partition = other
        dealt[partition] += 1
        return token

    def _any(self) -> tuple[str, int]:
        token = str(uuid.uuid4())
        return token, partition_for_key(token.encode(), len(self._dealt))
