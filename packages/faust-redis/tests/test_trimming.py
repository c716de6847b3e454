"""Whatever groups do, in any order: what one of them has not acked is never trimmed, and the rest goes."""

from __future__ import annotations

from faust_redis.testing import RedisServer
from tests.groups import try_groups


def test_trimming_never_takes_what_a_group_still_needs(shared_redis: RedisServer) -> None:
    try_groups(shared_redis.url, examples=60)
