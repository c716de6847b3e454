"""Wait until workers are ready."""

from __future__ import annotations

from typing import Any

import redis

from faust_redis.log.keys import GroupKeys, Keys
from faust_redis.testing.waiting import wait_until

__all__ = ["wait_for_group"]


def wait_for_group(
    url: str, group: str, members: int = 1, timeout: float = 30.0, *, namespace: str = ""
) -> list[str]:
    """Wait until a consumer group has this many members and has assigned its partitions to them.

    Args:
        url: Address of one server, as for a broker.
        group: Id of the app.
        members: Number of workers.
        timeout: Seconds.
        namespace: The app's namespace, if it has one.

    Returns:
        The ids of the members.

    Raises:
        AssertionError: The time is up; it names the members that were there last.
    """
    keys = Keys(namespace).group(group)
    with redis.Redis.from_url(url, decode_responses=True) as client:
        last: set[str] = set()

        def planned() -> list[str] | None:
            nonlocal last
            joined: Any = client.hkeys(keys.members)
            last = set(joined)
            return sorted(last) if len(last) == members and last == set(_plan(client, keys)) else None

        try:
            return wait_until(planned, f"{members} members of group {group}", timeout) or []
        except AssertionError as error:
            raise AssertionError(f"{error}; joined: {sorted(last) or 'none'}") from None


def _plan(client: redis.Redis, keys: GroupKeys) -> list[str]:
    plan: Any = client.hkeys(keys.plan)
    return list(plan)
