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
``{<topic>:<p>}:producers``               hash    producer id → the numbers and offsets of its last entries
``dead:{<topic>:<p>}``                    stream  dead letters of that partition
``faust:topic:<topic>``                   hash    ``partitions``, ``retention`` (ms), ``compacting``
``faust:{<group>}:members``               hash    member id → subscription (aiokafka's member metadata)
``faust:{<group>}:heartbeats``            zset    member id → last heartbeat (ms, server time)
``faust:{<group>}:released``              hash    member id → generation for which it gave up its partitions
``faust:{<group>}:plan``                  hash    member id → assignment (aiokafka's member assignment)
``faust:{<group>}:state``                 hash    ``generation``, ``since`` (ms, server time), ``leader``
``faust:{<group>}:paused``                 hash    topic, or ``<topic>:<p>`` → when it was paused (ms)
``faust:{<group>}:outputs``                hash    topic → 1, if the group commits outputs to it exactly once
``faust:{<group>}:signal``                stream  wakes the members when anything above changed
``faust:{<group>}:cooperative``           set     members that wait for an owner to release a partition
========================================  ======  ==========================================================

The braces are Redis Cluster's hash tags: all keys that one script touches share a slot. In a namespace each
key begins with ``<namespace>:``, so that two services keep the same topics and groups on one Redis; an ACL
of ``~<namespace>:*`` covers all of them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["GroupKeys", "Keys", "is_namespace"]

#: Keys outside any namespace begin with these words; a colon or a brace could make two namespaces collide.
_NAMESPACE: Final = re.compile(r"(?!(?:dead|faust)$)[A-Za-z0-9._-]{0,64}")

#: A topic and the number of a partition: a ``TP``, or any such pair.
Partition = tuple[str, int]


def is_namespace(name: str) -> bool:
    """Return whether a namespace may have this name; the empty one is that of keys without a prefix."""
    return _NAMESPACE.fullmatch(name) is not None


class GroupKeys(NamedTuple):
    """The keys that the members of a consumer group share."""

    members: str
    heartbeats: str
    released: str
    plan: str
    state: str
    signal: str
    cooperative: str


class Keys:
    """The keys of one namespace.

    Attributes:
        namespace: Empty for keys without a prefix.
    """

    def __init__(self, namespace: str = "") -> None:
        """Take a namespace.

        Raises:
            ValueError: It is not allowed as one.
        """
        if not is_namespace(namespace):
            raise ValueError(f"{namespace!r} can't be a namespace")
        self.namespace = namespace
        self._prefix = f"{namespace}:" if namespace else ""

    def stream(self, tp: Partition) -> str:
        """Return the stream that holds a partition."""
        return f"{self._prefix}{{{tp[0]}:{tp[1]}}}"

    def lease(self, tp: Partition, group: str) -> str:
        """Return the key that names the owner of a partition within a consumer group."""
        return f"{self.stream(tp)}:lease:{group}"

    def attempts(self, tp: Partition, group: str) -> str:
        """Return the key that counts failed attempts by entry id."""
        return f"{self.stream(tp)}:attempts:{group}"

    def suspects(self, tp: Partition, group: str) -> str:
        """Return the key of the owner that has not released, and of entries that may have killed owners."""
        return f"{self.stream(tp)}:suspects:{group}"

    def index(self, tp: Partition) -> str:
        """Return the key that finds the last entry of each message key in a compacted partition."""
        return f"{self.stream(tp)}:index"

    def tombstones(self, tp: Partition) -> str:
        """Return the key that records when message keys of a compacted partition were deleted."""
        return f"{self.stream(tp)}:tombstones"

    def producers(self, tp: Partition) -> str:
        """Return the key that records each producer's last entries, so that none is added twice."""
        return f"{self.stream(tp)}:producers"

    def dead(self, tp: Partition) -> str:
        """Return the stream of a partition's dead letters."""
        return f"{self._prefix}dead:{{{tp[0]}:{tp[1]}}}"

    def topic(self, name: str) -> str:
        """Return the key that records how a topic was declared."""
        return f"{self._prefix}faust:topic:{name}"

    def paused(self, group: str) -> str:
        """Return the key of what an operator has paused for a consumer group."""
        return f"{self._prefix}faust:{{{group}}}:paused"

    def outputs(self, group: str) -> str:
        """Return the key of the topics to which a group has committed outputs exactly once within a day."""
        return f"{self._prefix}faust:{{{group}}}:outputs"

    def group(self, name: str) -> GroupKeys:
        """Return the keys of a consumer group."""
        prefix = f"{self._prefix}faust:{{{name}}}"
        return GroupKeys(*(f"{prefix}:{field}" for field in GroupKeys._fields))
