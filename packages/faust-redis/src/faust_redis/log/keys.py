"""Every key the transport writes, in one place.

========================================  ======  ==========================================================
key                                       type    meaning
========================================  ======  ==========================================================
``{<topic>:<p>}``                         stream  partition ``p`` of a topic; entry ``0-N`` is offset ``N``
``{<topic>:<p>}:lease:<group>``           string  ``<generation>:<member>``, the owner whose acks count
``{<topic>:<p>}:attempts:<group>``        hash    entry id → failed attempts so far
``{<topic>:<p>}:suspects:<group>``        hash    ``owner``, and entry id → state of a suspect
``{<topic>:<p>}:index``                   hash    of a compacted partition: key → id of its last entry
``{<topic>:<p>}:tombstones``              zset    of a compacted partition: key → when it was deleted (ms)
``dead:{<topic>:<p>}``                    stream  dead letters of that partition
``faust:topic:<topic>``                   hash    ``partitions``, ``retention`` (ms), ``compacting``
``faust:{<group>}:members``               hash    member id → subscription (aiokafka's member metadata)
``faust:{<group>}:heartbeats``            zset    member id → last heartbeat (ms, server time)
``faust:{<group>}:released``              hash    member id → generation for which it gave up its partitions
``faust:{<group>}:plan``                  hash    member id → assignment (aiokafka's member assignment)
``faust:{<group>}:state``                 hash    ``generation``, ``since`` (ms, server time)
``faust:{<group>}:signal``                stream  wakes the members when anything above changed
========================================  ======  ==========================================================

The braces are Redis Cluster's hash tags: all keys that one script touches share a slot.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "GroupKeys",
    "attempts_key",
    "dead_key",
    "index_key",
    "lease_key",
    "stream_key",
    "suspects_key",
    "tombstones_key",
    "topic_key",
]


def stream_key(topic: str, partition: int) -> str:
    """Return the stream that holds a partition."""
    return f"{{{topic}:{partition}}}"


def lease_key(topic: str, partition: int, group: str) -> str:
    """Return the key that names the owner of a partition within a consumer group."""
    return f"{{{topic}:{partition}}}:lease:{group}"


def attempts_key(topic: str, partition: int, group: str) -> str:
    """Return the key that counts failed attempts per offset."""
    return f"{{{topic}:{partition}}}:attempts:{group}"


def suspects_key(topic: str, partition: int, group: str) -> str:
    """Return the key that names the owner until it lets go, and the entries that may have killed owners."""
    return f"{{{topic}:{partition}}}:suspects:{group}"


def index_key(topic: str, partition: int) -> str:
    """Return the key that finds the last entry of each message key in a compacted partition."""
    return f"{{{topic}:{partition}}}:index"


def tombstones_key(topic: str, partition: int) -> str:
    """Return the key that tells since when keys of a compacted partition are deleted."""
    return f"{{{topic}:{partition}}}:tombstones"


def dead_key(topic: str, partition: int) -> str:
    """Return the stream of a partition's dead letters."""
    return f"dead:{{{topic}:{partition}}}"


def topic_key(topic: str) -> str:
    """Return the key that records how a topic was declared."""
    return f"faust:topic:{topic}"


class GroupKeys(NamedTuple):
    """The keys through which the members of one consumer group agree."""

    members: str
    heartbeats: str
    released: str
    plan: str
    state: str
    signal: str

    @classmethod
    def of(cls, group: str) -> GroupKeys:
        """Return the keys of the consumer group with this name."""
        prefix = f"faust:{{{group}}}"
        return cls(*(f"{prefix}:{name}" for name in cls._fields))
