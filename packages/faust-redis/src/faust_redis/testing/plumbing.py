"""Keys and entries as the transport writes them, for tests that put a state into Redis by hand."""

from faust_redis.log.entries import encode
from faust_redis.log.keys import GroupKeys, Keys

__all__ = ["GroupKeys", "Keys", "encode"]
