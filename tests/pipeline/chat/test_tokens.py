from __future__ import annotations

from collections import Counter
from uuid import UUID

from faust_redis import partition_for_key
from pipeline.chat.tokens import Tokens


def test_every_partition_gets_as_many_sessions() -> None:
    tokens = Tokens(partitions=8)
    drawn = [tokens.draw() for _ in range(800)]
    counts = Counter(partition_for_key(token.encode(), 8) for token in drawn)

    assert len(set(drawn)) == 800
    assert len(counts) == 8
    # By chance alone, they would be some 40 apart.
    assert max(counts.values()) - min(counts.values()) <= 4


def test_tokens_are_random_uuids() -> None:
    tokens = Tokens(partitions=1)

    assert {UUID(tokens.draw()).version for _ in range(10)} == {4}
