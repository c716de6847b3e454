"""Real Redis servers and conditions for the tests of programs that use this transport.

with RedisServer(tmp_path) as server:
    app = faust.App("shop", broker=server.url)
    …
    wait_until(lambda: server.call("EXISTS", "…"), "the first order")
"""

from faust_redis.testing.binaries import SERVER_VARIABLE, find_redis_server
from faust_redis.testing.groups import wait_for_group
from faust_redis.testing.plumbing import GroupKeys, Keys, encode
from faust_redis.testing.servers import (
    HOST,
    Cluster,
    RedisServer,
    cluster,
    free_port,
    self_signed_certificate,
    sentinel,
)
from faust_redis.testing.waiting import eventually, wait_until

__all__ = [
    "HOST",
    "SERVER_VARIABLE",
    "Cluster",
    "GroupKeys",
    "Keys",
    "RedisServer",
    "cluster",
    "encode",
    "eventually",
    "find_redis_server",
    "free_port",
    "self_signed_certificate",
    "sentinel",
    "wait_for_group",
    "wait_until",
]
