"""The documentation and the limits of each option of the transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from faust_redis.log.keys import is_namespace
from faust_redis.redis.durability import ACKS, MOST_REPLICAS, TIMEOUTS_MS

__all__ = ["REFERENCE", "OptionReference"]


class OptionReference(NamedTuple):
    """The documentation of an option.

    Attributes:
        unit: Unit of the value.
        allowed: The allowed values, in words.
        smaller, larger: The effect of a value below and above the default.
        accepts: Whether a value of the right type is allowed.
    """

    unit: str
    allowed: str
    smaller: str
    larger: str
    accepts: Callable[[Any], bool]


def _between(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: least <= value <= most


def _is_backoff(delays: tuple[float, ...]) -> bool:
    return 0 < len(delays) <= 100 and all(0 <= delay <= 86_400 for delay in delays)


_SWITCH: Final = "true or false"


def _anything(_value: Any) -> bool:
    return True


#: Each option's unit, its allowed values, and the effect of a smaller and of a larger value.
REFERENCE: Final[Mapping[str, OptionReference]] = MappingProxyType(
    {
        "namespace": OptionReference(
            "prefix of every key",
            "up to 64 letters, digits, `.`, `_` and `-`; neither `dead` nor `faust`",
            "empty: apps with the same topic names on one Redis share these topics",
            "another name: the app finds none of the entries, groups and tables of the old one",
            is_namespace,
        ),
        "attempts": OptionReference(
            "attempts, the first included",
            "1 to 1,000",
            "a short outage of a database turns events into dead letters; 1 means no retry",
            "an event that always fails occupies its agent longer",
            _between(1, 1_000),
        ),
        "backoff": OptionReference(
            "seconds before the second, third, … attempt; the last one repeats",
            "1 to 100 numbers from 0 to 86,400",
            "attempts are used up before an outage is over",
            "a recovered event waits longer; its place in the order of its key is lost for as long",
            _is_backoff,
        ),
        "take_overs": OptionReference(
            "deaths of a worker",
            "2 to 1,000",
            ("workers that are killed from outside at a bad moment turn innocent events into dead letters"),
            "an event that kills its process ends more workers before it is a dead letter",
            _between(2, 1_000),
        ),
        "ordinary_deaths": OptionReference(
            "deaths of a worker",
            "1 or 2",
            (
                "1: the oldest and the youngest event of a worker that died wait for the others, and lose "
                "their place in the order of their key"
            ),
            "2: an event that kills its process does so once more, and those beside it are repeated again",
            _between(1, 2),
        ),
        "dead_letter_age": OptionReference(
            "seconds",
            "60 to 315,360,000 (ten years)",
            "dead letters are removed before an operator has looked at them",
            "Redis holds the content of failed events, often personal data, for longer",
            _between(60, 315_360_000),
        ),
        "dead_letter_limit": OptionReference(
            "dead letters per partition",
            "1 to 10,000,000",
            "a burst of failures evicts earlier dead letters",
            "an agent that always fails fills the memory of Redis",
            _between(1, 10_000_000),
        ),
        "read_count": OptionReference(
            "entries per partition and read",
            "1 to 10,000",
            "more round trips per event",
            "more events wait in one worker while others are idle; one reply takes more memory",
            _between(1, 10_000),
        ),
        "block_ms": OptionReference(
            "milliseconds",
            "10 to 5,000, at most half of `broker_session_timeout`",
            "an idle worker asks Redis more often",
            "a frozen worker's last read delays its partitions' next owner",
            _between(10, 5_000),
        ),
        "acks": OptionReference(
            "what confirms a write",
            (
                "`1` (the primary's reply), `all` (its replicas, by `WAIT`) or `fsync` (the disks of all, by "
                "`WAITAOF`)"
            ),
            "`1`: a failover loses what its primary had confirmed and not yet replicated",
            (
                "`all`, `fsync`: each batch takes a round trip to a replica, or until the disks are synced; "
                "nothing is confirmed while a replica is missing"
            ),
            lambda acks: acks in ACKS,
        ),
        "acks_replicas": OptionReference(
            "replicas, for `acks` of `all` and `fsync`",
            f"0 to {MOST_REPLICAS}",
            "0: `fsync` waits for the primary's disk alone, and `all` for nothing",
            "nothing is confirmed while fewer replicas are connected",
            _between(0, MOST_REPLICAS),
        ),
        "acks_timeout_ms": OptionReference(
            "milliseconds per wait, for `acks` of `all` and `fsync`",
            f"{TIMEOUTS_MS[0]} to {TIMEOUTS_MS[1]:,}",
            "slow replicas or disks make batches be sent again",
            "while a replica is missing, reads on the connection wait for longer behind each write",
            _between(*TIMEOUTS_MS),
        ),
        "send_batch": OptionReference(
            "entries per round trip",
            "1 to 100,000",
            "fewer messages per second",
            "the first message of a batch is confirmed later; one request takes more memory",
            _between(1, 100_000),
        ),
        "send_queue": OptionReference(
            "entries",
            "1 to 1,000,000",
            "`send` waits for Redis more often",
            "a process that dies loses more unconfirmed messages, and holds more memory while Redis is away",
            _between(1, 1_000_000),
        ),
        "resend_seconds": OptionReference(
            "seconds",
            "0 to 3,600",
            "messages that a failover has lost are not sent again; 0 for never",
            "more memory, up to 8 MB; a longer outage of the replicas loses no messages",
            _between(0, 3_600),
        ),
        "ack_batch": OptionReference(
            "entries per script call",
            "1 to 5,000",
            "more calls for the same acks",
            "each call keeps Redis from other clients for longer (about 1 ms per 1,000)",
            _between(1, 5_000),
        ),
        "retention_page": OptionReference(
            "entries per step",
            "1 to 10,000",
            "expiry of many small entries takes more round trips",
            "each step keeps Redis from other clients for longer",
            _between(1, 10_000),
        ),
        "housekeeping_interval": OptionReference(
            "seconds",
            "0.1 to 3,600",
            "more commands while nothing happens",
            "expired entries and tombstones stay longer; a log that was recreated is noticed later",
            _between(0.1, 3_600),
        ),
        "fast_path": OptionReference(
            "switch",
            _SWITCH,
            (
                "false: Faust's topics, conductor and sensors, and Faust's stream class with [three "
                "repairs](internals.md#the-fast-path); about half the events per second"
            ),
            "true: the transport's own classes where a program has not replaced Faust's",
            _anything,
        ),
        "freeze_gc": OptionReference(
            "switch, for the whole process",
            _SWITCH,
            "false: full collections hold up every event for tens of milliseconds",
            "true: objects that exist at start are never collected, and the collector runs less often",
            _anything,
        ),
    }
)
