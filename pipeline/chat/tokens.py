"""Draw the tokens of new sessions so that every partition, and thus every worker, gets equally many."""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

from faust_redis import partition_for_key

#: Maximum tokens drawn for one session; with 8 partitions 3 are usually enough.
DRAWS: Final = 32


class Tokens:
    """Draw random tokens, and keep the one whose partition has the fewest so far.

    By chance alone, one of 4 workers gets 23 of 64 sessions instead of 16, and the slowest worker limits the
    load. A web process counts only its own tokens; the tokens of balanced processes add up to a balanced
    whole.
    """

    def __init__(self, partitions: int) -> None:
        """Store the number of partitions of a topic."""
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


def token_digest(token: str) -> str:
    """Return a name of a session that does not reveal its token, for keys and streams that outlive it."""
    return hashlib.blake2b(token.encode(), digest_size=16).hexdigest()
