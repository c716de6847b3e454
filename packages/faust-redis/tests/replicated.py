"""A primary and its replica."""

from __future__ import annotations

from faust_redis.redis import server_from_urls
from faust_redis.redis.servers import Server
from faust_redis.testing import RedisServer


class ReplicatedPair:
    """A primary and its replica."""

    def __init__(self, primary: RedisServer, replica: RedisServer) -> None:
        self.primary = primary
        self.replica = replica

    def server(self, query: str) -> Server:
        """Connect to the primary with this query."""
        return server_from_urls([f"{self.primary.url}?{query}"])
