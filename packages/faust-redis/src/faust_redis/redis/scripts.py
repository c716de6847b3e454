"""The transport's own scripts, ``lua/*.lua``: a file per atomic operation, described by its header."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from faust_redis.redis.clients import execute_many
from faust_redis.redis.commands import Command, execute
from faust_redis.redis.lua_script import Argument, Script

if TYPE_CHECKING:
    from faust_redis.redis.servers import CommandStream

__all__ = [
    "ACK",
    "ACK_MANY",
    "APPEND",
    "APPEND_MANY",
    "COMMIT",
    "COUNT_ENTRIES",
    "DECLARE_TOPIC",
    "EXPIRE_ENTRIES",
    "EXPIRE_TOMBSTONES",
    "FAIL",
    "GROUP_HEARTBEAT",
    "GROUP_JOIN",
    "GROUP_LEAVE",
    "GROUP_RELEASE",
    "GROUP_SYNC",
    "HELD",
    "MAKE_GROUP",
    "MARK_SUSPECT",
    "MORE",
    "MOVE_GROUP",
    "NOT_MEMBER",
    "NOT_OWNER",
    "RECORD_HISTORY",
    "RELEASE",
    "REPLAY",
    "SAMPLE_PARTITION",
    "SEEK",
    "SERVER_TIME",
    "STRAYS",
    "TAKE_LEASE",
    "TAKE_OVER",
    "ScriptRunner",
    "load_script",
    "results_of_each",
]

#: Returned by the lease-checking scripts to a worker whose lease is gone.
NOT_OWNER: Final = -1
#: Returned by ``take_over`` while another live member still holds the lease.
HELD: Final = -2
#: Returned by ``ack`` when it has to be called again to trim the rest.
MORE: Final = -2
#: Entries that ``ack`` trims per call, about. Redis serves no other client meanwhile: it takes 0.5 ms, or
#: 4 ms if each holds 5 kB. With less than an ``ack_batch``, trimming would lag behind the acks.
TRIMMED_AT_ONCE: Final = 2000
#: Returned by ``group_heartbeat`` to a member that was evicted.
NOT_MEMBER: Final = -1

#: Maximum keys of a call for many partitions.
MOST_KEYS: Final = 100_000

_script = partial(Script, __package__)
_leased = partial(_script, constants={"NOT_OWNER": NOT_OWNER})

_ACK_CONSTANTS: Final = {"NOT_OWNER": NOT_OWNER, "MORE": MORE, "TRIMMED_AT_ONCE": TRIMMED_AT_ONCE}

# For the owners of partitions.
ACK: Final = _script(
    "ack",
    keys=3,
    arguments=("group", "lease", "trimming"),
    rest=True,
    includes=("trim", "ack_entries"),
    constants=_ACK_CONSTANTS,
)
#: It takes three keys for each partition.
ACK_MANY: Final = _script(
    "ack_many",
    keys=MOST_KEYS,
    optional_keys=MOST_KEYS - 3,
    arguments=("group",),
    rest=True,
    includes=("errors", "trim", "ack_entries"),
    constants=_ACK_CONSTANTS,
)
#: It takes three keys for each partition.
COMMIT: Final = _script(
    "commit",
    keys=MOST_KEYS,
    optional_keys=MOST_KEYS - 3,
    arguments=("group", "lease", "inputs", "targets", "batches"),
    rest=True,
    includes=("add_entry", "trim", "require_rights"),
)
FAIL: Final = _leased(
    "fail",
    keys=5,
    arguments=("group", "lease", "entry_id", "allowed", "error_text", "kept_count", "kept_ms"),
    includes=("require_rights",),
)
MARK_SUSPECT: Final = _leased("mark_suspect", keys=2, arguments=("lease", "entry_id", "mark"))
SEEK: Final = _leased("seek", keys=2, arguments=("group", "lease", "before_id"))
TAKE_OVER: Final = _script(
    "take_over",
    keys=4,
    arguments=(
        "group",
        "member_id",
        "generation",
        "start",
        "page_size",
        "group_start",
        "previous_died",
        "replacing",
        "culprit",
    ),
    constants={"NOT_OWNER": NOT_OWNER, "HELD": HELD},
    includes=("require_rights",),
)
MOVE_GROUP: Final = _script("move_group", keys=3, arguments=("group", "before_id"))
MAKE_GROUP: Final = _script("make_group", keys=1, arguments=("group", "group_start"))
TAKE_LEASE: Final = _script("take_lease", keys=1, arguments=("generation", "member_id"))
RELEASE: Final = _script("release", keys=2, arguments=("lease", "member_id"))
#: It takes the streams of any number of partitions.
STRAYS: Final = _script("strays", keys=MOST_KEYS, optional_keys=MOST_KEYS - 1, arguments=("group", "owner"))

# Entries and topics.
APPEND: Final = _script(
    "append",
    keys=5,
    optional_keys=3,
    arguments=("producer", "sequence", "previous", "continues", "kept_ms", "lease", "size"),
    rest=True,
    includes=("add_entry", "append_entries"),
)
#: It takes two keys for each run of entries.
APPEND_MANY: Final = _script(
    "append_many",
    keys=MOST_KEYS,
    optional_keys=MOST_KEYS - 2,
    arguments=("producer", "kept_ms"),
    rest=True,
    includes=("errors", "add_entry", "append_entries"),
)
DECLARE_TOPIC: Final = _script(
    "declare_topic", keys=1, arguments=("partitions", "retention_ms", "compacting")
)
EXPIRE_ENTRIES: Final = _script("expire_entries", keys=2, arguments=("last_id", "sent_at"), rest=True)
EXPIRE_TOMBSTONES: Final = _script("expire_tombstones", keys=3, arguments=("kept_ms", "count"))
REPLAY: Final = _script("replay", keys=2, arguments=("entry_id",), includes=("require_rights",))
SAMPLE_PARTITION: Final = _script(
    "sample_partition", keys=4, arguments=("group",), read_only=True, includes=("stream_end",)
)
#: It takes the streams of any number of partitions.
COUNT_ENTRIES: Final = _script(
    "count_entries",
    keys=MOST_KEYS,
    optional_keys=MOST_KEYS - 1,
    arguments=("group",),
    read_only=True,
    includes=("stream_end",),
)
SERVER_TIME: Final = _script("server_time", keys=1)

# Histories.
RECORD_HISTORY: Final = _script(
    "record_history",
    keys=MOST_KEYS,
    optional_keys=MOST_KEYS - 2,
    arguments=("writer", "lease_ms", "weight", "moment"),
    rest=True,
)

# Groups.
GROUP_HEARTBEAT: Final = _script(
    "group_heartbeat",
    keys=7,
    arguments=("member_id", "session_timeout_ms", "rebalance_timeout_ms", "wants_plan"),
    includes=("require_rights",),
)
GROUP_JOIN: Final = _script("group_join", keys=7, arguments=("member_id", "metadata", "last_generation"))
GROUP_LEAVE: Final = _script("group_leave", keys=7, arguments=("member_id",), includes=("require_rights",))
GROUP_RELEASE: Final = _script("group_release", keys=4, arguments=("member_id", "generation", "metadata"))
GROUP_SYNC: Final = _script("group_sync", keys=3, arguments=("generation",), rest=True)


def results_of_each(pages: Iterable[Sequence[Any]], replies: Iterable[Any]) -> list[Any]:
    """Return the results of all parts of calls, each of which returns a list with one for each of its parts.

    An error of a call is that of each of its parts.
    """
    results: list[Any] = []
    for page, reply in zip(pages, replies, strict=True):
        results += [reply] * len(page) if isinstance(reply, Exception) else reply
    return results


class ScriptRunner:
    """Runs scripts by one client; sends the text of a script that the server does not have.

    Attributes:
        redis: The client.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def call(self, script: Script, keys: Sequence[str], *rest: Argument, **arguments: Argument) -> Any:
        """Run a script and return its raw result.

        Raises:
            redis.exceptions.RedisError: Redis is away, or the script failed.
        """
        return await script.run(partial(execute, self.redis), script.command(keys, *rest, **arguments))

    async def run(self, script: Script, calls: Sequence[Command], stream: CommandStream) -> list[Any]:
        """Send calls of one script in one round trip; all of them must be safe to run twice.

        Returns:
            Their replies, among them the errors of single calls.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        if not calls:
            return []
        replies = await stream.execute_many(calls)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await self.load(script)
            replies = await stream.execute_many(calls)
        return replies

    async def load(self, script: Script) -> None:
        """Load a script into the server, or into all primaries of a cluster."""
        await load_script(self.redis, script)


async def load_script(redis: Redis, script: Script) -> None:
    """Load a script on the connections that ``execute_many`` uses, of which each may have another server.

    A primary that comes back as a replica has forgotten its scripts. It replies to their calls that it lacks
    them, and not that it takes no writes, which would close the connection.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable.
    """
    for reply in await execute_many(redis, [("SCRIPT", "LOAD", script.text)]):
        if isinstance(reply, Exception):
            raise reply
