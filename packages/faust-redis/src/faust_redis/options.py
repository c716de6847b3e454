"""Options of the transport, from a call or the query of the broker's URL; a wrong one is refused by name.

Two ways to set them::

    faust.App("shop", broker="redis://localhost/0?attempts=3&backoff=0.1,1,5&namespace=shop")
    configure(app, Options(attempts=3, backoff=(0.1, 1, 5), namespace="shop"))

An option passed to :func:`configure` takes precedence over the same one in the URL. Both are read when
the app first needs its broker. :data:`REFERENCE` describes each option; the table in the documents is
checked against it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from faust.types import AppT

from faust_redis.errors import OptionError
from faust_redis.log.keys import is_namespace
from faust_redis.option_names import check_name
from faust_redis.redis.durability import ACKS, MOST_REPLICAS, TIMEOUTS_MS

__all__ = ["REFERENCE", "OptionReference", "Options", "configure", "options_of", "read_options"]


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
_SWITCHES: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


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


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the transport for one app.

    Attributes:
        namespace: Prefix of every key, so that several services share one Redis.
        attempts: Number of failures, including the first delivery, after which an event is a dead letter.
        backoff: Seconds before the second, third, … attempt; the last delay repeats. Half of each is random.
        take_overs: Number of deaths of an event's workers after which the event is a dead letter.
        ordinary_deaths: Number of those deaths after which an event may be to blame.
        dead_letter_age: Seconds a dead letter is kept.
        dead_letter_limit: Dead letters kept per partition, the latest.
        read_count: Maximum entries per partition and read; ``broker_max_poll_records`` may lower it.
        block_ms: Milliseconds that a blocking read waits.
        acks: What confirms a write: ``1`` the primary, ``all`` its replicas, ``fsync`` the disks of all.
        acks_replicas: Replicas that must confirm a write, besides the primary.
        acks_timeout_ms: Maximum milliseconds of one wait for them.
        send_batch: Entries per pipelined round trip of the producer.
        send_queue: Unsent entries in a process before ``send`` waits.
        ack_batch: Entry ids per call of ``ack.lua``.
        retention_page: Entries per step of expiry.
        housekeeping_interval: Seconds between checks for expired entries, tombstones and restarted logs.
        fast_path: Use the transport's streams, topics, conductor and sensor calls instead of Faust's own.
        freeze_gc: Exclude the objects that exist when the worker starts from garbage collection.

    Raises:
        OptionError: A value has the wrong type or is out of range.
    """

    namespace: str = ""
    attempts: int = 5
    backoff: tuple[float, ...] = (0.1, 0.5, 2.0, 5.0)
    take_overs: int = 5
    ordinary_deaths: int = 2
    dead_letter_age: float = 7 * 24 * 3600.0
    dead_letter_limit: int = 10_000
    read_count: int = 200
    block_ms: int = 1_000
    acks: str = "1"
    acks_replicas: int = 1
    acks_timeout_ms: int = 2_000
    send_batch: int = 500
    send_queue: int = 2_000
    ack_batch: int = 1_000
    retention_page: int = 500
    housekeeping_interval: float = 5.0
    fast_path: bool = True
    freeze_gc: bool = False

    def __new__(cls, **given: Any) -> Options:
        """Note which options are named, because only these take precedence over the URL."""
        options = super().__new__(cls)
        vars(options)["_given"] = frozenset(given)
        return options

    @property
    def given(self) -> frozenset[str]:
        """Names of the options that this object was made with."""
        return frozenset(vars(self)["_given"])

    def __post_init__(self) -> None:
        for field in _fields():
            value = _checked(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)


def configure(app: AppT, options: Options) -> None:
    """Set an app's options, which take precedence over the URL. A later call replaces an earlier one.

    Raises:
        OptionError: The app has already read its options.
    """
    if app in _read:
        raise OptionError("configure", app.conf.id, "the app uses its broker already; call it before that")
    _configured[app] = options


def options_of(app: AppT) -> Options:
    """Return the current options; before the app uses its broker, those of :func:`configure`."""
    return _read.get(app) or _configured.get(app) or Options()


def read_options(app: AppT, addresses: Sequence[str]) -> tuple[Options, list[str]]:
    """Return an app's options, and its addresses without them; the rest of a query is for redis-py.

    Raises:
        OptionError: An option has a wrong value, two values in two addresses, or a name that neither the
            transport nor redis-py reads.
    """
    given: dict[str, Any] = {}
    plain: list[str] = []
    for address in addresses:
        parts = urlsplit(address)
        left: list[tuple[str, str]] = []
        for name, text in parse_qsl(parts.query, keep_blank_values=True):
            if name not in REFERENCE:
                check_name(name, REFERENCE)
                left.append((name, text))
                continue
            value = _checked(_FIELDS[name], _parsed(_FIELDS[name], text))
            if given.setdefault(name, value) != value:
                raise OptionError(name, text, f"another value is given before: {given[name]}")
        plain.append(urlunsplit(parts._replace(query=urlencode(left, safe="/:,"))))
    explicit = _configured.get(app)
    if explicit is not None:
        given |= {name: getattr(explicit, name) for name in explicit.given}
    options = Options(**given)
    timeout = float(app.conf.broker_session_timeout)
    if "block_ms" in given and options.block_ms > timeout * 500:
        limit = f"allowed: at most half of broker_session_timeout={timeout:g} s"
        raise OptionError("block_ms", options.block_ms, limit)
    _read[app] = options
    return options, plain


_configured: WeakKeyDictionary[AppT, Options] = WeakKeyDictionary()
_read: WeakKeyDictionary[AppT, Options] = WeakKeyDictionary()


def _fields() -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(Options) if field.init]


_FIELDS: Final = {field.name: field for field in _fields()}


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return a value as the option holds it.

    Raises:
        OptionError: It has the wrong type or is out of range.
    """
    name, default = field.name, field.default
    right: bool
    if isinstance(default, tuple):
        value = tuple(value) if isinstance(value, (list, tuple)) else value
        right = isinstance(value, tuple) and all(map(_is_number, value))
        value = tuple(map(float, value)) if right else value
    elif isinstance(default, (bool, str)):
        right = type(value) is type(default)
    elif isinstance(default, int):
        right = type(value) is int
    else:
        right = _is_number(value)
        value = float(value) if right else value
    if not (right and REFERENCE[name].accepts(value)):
        reference = REFERENCE[name]
        raise OptionError(name, value, f"allowed: {reference.allowed} ({reference.unit})")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _parsed(field: dataclasses.Field[Any], text: str) -> Any:
    """Parse the text of an option; invalid text is returned as it is, and refused later by its type."""
    default = field.default
    try:
        if isinstance(default, tuple):
            return tuple(float(part) for part in text.split(","))
        if isinstance(default, bool):
            return _SWITCHES[text.lower()]
        if isinstance(default, (int, float)):
            return type(default)(text)
    except (ValueError, KeyError):
        pass
    return text
