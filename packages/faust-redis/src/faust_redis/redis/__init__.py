"""The Redis layer: addresses, connections, scripts and errors.

The names below are supported for programs that read or write Redis beside Faust: a connection whose commands
cost what hiredis needs to parse them, on one server, behind Sentinel or on a cluster.
"""

from faust_redis.redis.commands import BLOCK_MS, REDIS_ERRORS, Command, execute, is_unavailable
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.lua_script import Script
from faust_redis.redis.servers import Server
from faust_redis.redis.servers import server_at as server_from_urls
from faust_redis.tasks import cancel_and_wait

__all__ = [
    "BLOCK_MS",
    "REDIS_ERRORS",
    "Command",
    "Script",
    "Server",
    "StreamConnection",
    "cancel_and_wait",
    "execute",
    "is_unavailable",
    "server_from_urls",
]
