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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from faust.types import AppT

from faust_redis.errors import OptionError
from faust_redis.option_names import check_name
from faust_redis.option_reference import REFERENCE, OptionReference

__all__ = ["REFERENCE", "OptionReference", "Options", "configure", "options_of", "read_options"]

_SWITCHES: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


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
        resend_seconds: Seconds for which a producer keeps confirmed messages, to send them again if Redis
            loses them; 0 for none.
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
    resend_seconds: float = 60.0
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
