"""The Redis layer: addresses, connections, scripts and errors.

The names below are supported for programs that use Redis next to Faust: a connection whose commands
cost only their parsing by hiredis, on one server, behind Sentinel or on a cluster.
"""

from faust_redis.redis.addresses import addresses_of
from faust_redis.redis.clients import execute_in_steps, execute_many, server_of
from faust_redis.redis.commands import BLOCK_MS, REDIS_ERRORS, Command, execute, is_unavailable
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.durability import Durability, durability_of
from faust_redis.redis.key_connection import KeyConnection
from faust_redis.redis.lua_script import Script
from faust_redis.redis.servers import CommandStream, Server
from faust_redis.redis.servers import server_at as server_from_urls
from faust_redis.redis.slots import keys_of, slot_of
from faust_redis.tasks import cancel_and_wait

__all__ = [
    "BLOCK_MS",
    "REDIS_ERRORS",
    "Command",
    "CommandStream",
    "Durability",
    "KeyConnection",
    "Script",
    "Server",
    "StreamConnection",
    "addresses_of",
    "cancel_and_wait",
    "durability_of",
    "execute",
    "execute_in_steps",
    "execute_many",
    "is_unavailable",
    "keys_of",
    "server_from_urls",
    "server_of",
    "slot_of",
]
