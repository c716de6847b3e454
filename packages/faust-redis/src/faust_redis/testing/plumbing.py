"""Keys and entries as the transport writes them, for tests that put a state into Redis by hand."""

from faust_redis.log.entries import encode
from faust_redis.log.keys import GroupKeys, attempts_key, dead_key, lease_key, stream_key, topic_key

__all__ = [
    "GroupKeys",
    "attempts_key",
    "dead_key",
    "encode",
    "lease_key",
    "stream_key",
    "topic_key",
]
