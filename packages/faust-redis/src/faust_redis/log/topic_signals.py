"""Signals: in a topic of many partitions, producers name those that they have added entries to.

A blocking read costs Redis time for each of its streams. A reader of many partitions waits for the topic's
signal instead, and then reads only the partitions in it. A signal is a hint that may be missing: producers of
other programs send none, and Redis drops old ones. So readers also look at all partitions regularly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from faust.types import TP

from faust_redis.log.keys import Keys
from faust_redis.log.topics import TopicFacts
from faust_redis.redis.commands import Command

__all__ = ["ALL", "MANY", "is_signalled", "partitions_of", "signals_for"]

#: Partitions of a topic above which producers send signals, each of which costs Redis 3 µs. A read of fewer
#: streams costs less than the wait for a signal and the read after it.
MANY: Final = 32
#: Partitions that a signal names at most; it stands for all of them if there are more.
MOST_NAMED: Final = 64
#: Signals that are kept, about: those of a second from a thousand batches.
KEPT: Final = 1_000
#: The value of a signal for all partitions.
ALL: Final = b"*"
_FIELD: Final = "p"


def is_signalled(facts: TopicFacts | None) -> bool:
    """Return whether producers signal entries of a topic with this declaration."""
    return facts is not None and facts.partitions > MANY and not facts.compacting


def signals_for(tps: Iterable[TP], facts_of: Callable[[str], TopicFacts | None], keys: Keys) -> list[Command]:
    """Return the commands that signal new entries of these partitions, to send after the entries.

    Args:
        facts_of: Returns the declaration of a topic, ``None`` if it is not known.
    """
    named: defaultdict[str, list[str]] = defaultdict(list)
    for topic, partition in tps:
        named[topic].append(str(partition))
    return [
        ("XADD", keys.signal(topic), "MAXLEN", "~", KEPT, "*", _FIELD, _value(partitions))
        for topic, partitions in named.items()
        if is_signalled(facts_of(topic))
    ]


def _value(partitions: Sequence[str]) -> str | bytes:
    return ",".join(partitions) if len(partitions) <= MOST_NAMED else ALL


def partitions_of(entries: Iterable[Sequence[Any]]) -> set[bytes]:
    """Return the numbers of the partitions that signals name, or :data:`ALL` among them."""
    return {number for _, fields in entries for number in fields[1].split(b",")}
