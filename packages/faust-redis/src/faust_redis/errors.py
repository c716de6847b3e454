"""Errors of the transport, one tree::

TransportError
├── AbandonedError           an agent ended without finishing an event
├── BrokerAddressError       a broker URL that leads to no Redis
├── ForeignBrokerError       an app whose broker is no Redis was passed to this package
├── JoinError                a join that can't be made, or an event that can't take part in it
│   └── CopartitionError     its sides have different numbers of partitions
├── NoSuchDeadLetterError    a dead letter was sent again, dropped, or expired
├── NotOwnerError            a table was changed whose partition another worker owns
├── OptionError              an option of the transport is unknown or holds a wrong value
├── SeekError                a partition whose position can't be moved
├── TopicMismatchError       a topic is recorded with another number of partitions, or compacted
├── TopicNameError           a topic has a name that no broker takes
├── UnconfirmedWriteError    a write that too few replicas, or no disk, have confirmed yet
├── UnreadableEntryError     an entry of another writer that can't be read
├── UnsupportedFaustError    a version of Faust that the transport is not made for
├── UnsupportedServerError   a Redis that can't do what is needed
├── UnsupportedSettingError  a Faust setting asks for what Redis can't keep
└── WorkerDiedError          an event's workers died while it was being handled
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from redis.exceptions import ResponseError

__all__ = [
    "AbandonedError",
    "BrokerAddressError",
    "CopartitionError",
    "ForeignBrokerError",
    "JoinError",
    "NoSuchDeadLetterError",
    "NotOwnerError",
    "OptionError",
    "SeekError",
    "TopicMismatchError",
    "TopicNameError",
    "TransportError",
    "UnconfirmedWriteError",
    "UnreadableEntryError",
    "UnsupportedFaustError",
    "UnsupportedServerError",
    "UnsupportedSettingError",
    "WorkerDiedError",
]


class TransportError(Exception):
    """Base of everything this package raises on purpose."""


class AbandonedError(TransportError):
    """An agent ended without finishing an event, and its error went another way."""

    def __str__(self) -> str:
        return "the agent ended without finishing the event"


def _without_secrets(address: str) -> str:
    """Hide all before the last ``@``, as a password may hold any character, and all values in the query.

    A misspelled name does not show whether its value is a secret.
    """
    hidden = re.sub(r"(?:(?<=://)|^(?![\w+]+://))(?:(?!://).)*@", "…@", address)
    return re.sub(r"([?&][^=&;]*=)[^&;]*", r"\1…", hidden)


class BrokerAddressError(TransportError):
    """A broker URL can't be understood.

    Attributes:
        address: The URL, without its user, password and other secrets.
        reason: What is wrong with it.
    """

    def __init__(self, address: str, reason: str) -> None:
        self.address = _without_secrets(address)
        self.reason = reason
        super().__init__(self.address, reason)

    def __str__(self) -> str:
        return f"the broker {self.address!r}: {self.reason}"


class ForeignBrokerError(TransportError):
    """An app was passed whose broker is not Redis.

    Attributes:
        driver: Class of the app's consumer or producer.
    """

    def __init__(self, driver: str) -> None:
        super().__init__(driver)
        self.driver = driver

    def __str__(self) -> str:
        return f"the app's broker is not Redis, its driver is {self.driver}"


class JoinError(TransportError):
    """A join can't be made as a program asks for it, or an event can't take part in one.

    Attributes:
        join: Name of the join, or of the argument that is wrong.
        reason: The rule it breaks, as the rest of a sentence.
    """

    def __init__(self, join: str, reason: str) -> None:
        super().__init__(join, reason)
        self.join = join
        self.reason = reason

    def __str__(self) -> str:
        return f"join {self.join!r}: {self.reason}"


class CopartitionError(JoinError):
    """The sides of a join have different numbers of partitions, so that partners would not meet.

    Attributes:
        partitions: Number of partitions by topic, or by the name of a table.
    """

    def __init__(self, join: str, partitions: Mapping[str, int]) -> None:
        self.partitions = dict(partitions)
        counts = ", ".join(f"{name} has {count}" for name, count in partitions.items())
        super().__init__(
            join,
            f"its sides need the same number of partitions, {counts}: declare the same partitions= for all, "
            "or send one side through group_by(…, partitions=…)",
        )


class NoSuchDeadLetterError(TransportError):
    """No dead letter has this id: it was sent again, dropped, or expired.

    Attributes:
        letter_id: The id asked for.
    """

    def __init__(self, letter_id: str) -> None:
        super().__init__(letter_id)
        self.letter_id = letter_id

    def __str__(self) -> str:
        return f"there is no dead letter {self.letter_id!r}"


class NotOwnerError(TransportError):
    """A table was changed whose partition another worker owns by now.

    Attributes:
        topic: The table's changelog.
        partition: Number of the partition.
    """

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(topic, partition)
        self.topic = topic
        self.partition = partition

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition} has another owner, a late change of its table is dropped"


class OptionError(TransportError):
    """An option of the transport has an unknown name or a wrong value.

    Attributes:
        option: Name of the option.
        value: The value it holds.
        reason: The values that are allowed, or the name that was probably meant.
    """

    def __init__(self, option: str, value: object, reason: str) -> None:
        super().__init__(option, value, reason)
        self.option = option
        self.value = value
        self.reason = reason

    def __str__(self) -> str:
        return f"option {self.option}={self.value!r}: {self.reason}"


class SeekError(TransportError):
    """The position of a partition can't be moved.

    Attributes:
        topic: Its topic.
        partition: Its number.
        reason: The reason, as the rest of a sentence.
    """

    def __init__(self, topic: str, partition: int, reason: str) -> None:
        super().__init__(topic, partition, reason)
        self.topic = topic
        self.partition = partition
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition} can't be sought in: {self.reason}"


class TopicMismatchError(TransportError):
    """A worker declares a topic in another way than Redis has recorded.

    Attributes:
        topic: Name of the topic.
        recorded: Value recorded in Redis by an earlier declaration.
        wanted: Value this worker asked for.
        setting: Name of the setting that differs: ``partitions`` or ``compacting``.
    """

    def __init__(self, topic: str, recorded: int, wanted: int, setting: str = "partitions") -> None:
        super().__init__(topic, recorded, wanted, setting)
        self.topic = topic
        self.recorded = recorded
        self.wanted = wanted
        self.setting = setting

    def __str__(self) -> str:
        return (
            f"topic {self.topic!r} has {self.setting}={self.recorded} in Redis, this worker declares "
            f"{self.wanted}: set the same value everywhere, or delete the topic first"
        )


class TopicNameError(TransportError):
    """A topic has a name that Kafka refuses, and Redis keys can't hold safely.

    Attributes:
        topic: The name.
        reason: The rule it breaks.
    """

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(topic, reason)
        self.topic = topic
        self.reason = reason

    def __str__(self) -> str:
        return f"the topic name {self.topic[:300]!r} {self.reason}"


class UnconfirmedWriteError(TransportError, ResponseError):
    """Redis has executed a write, and fewer replicas or disks than required have confirmed it in time.

    It is an error of redis-py as well, because it comes in the place of a reply.

    Attributes:
        acks: The required durability, ``all`` or ``fsync``.
        reason: How many have confirmed it.
    """

    def __init__(self, acks: str, reason: str) -> None:
        super().__init__(acks, reason)
        self.acks = acks
        self.reason = reason

    def __str__(self) -> str:
        return f"acks={self.acks}: {self.reason}"


class UnreadableEntryError(TransportError):
    """An entry was added by another writer, in a form that can't be read.

    Attributes:
        entry_id: Id of the entry in its partition.
        reason: The part that can't be read.
    """

    def __init__(self, entry_id: str, reason: str) -> None:
        super().__init__(entry_id, reason)
        self.entry_id = entry_id
        self.reason = reason

    def __str__(self) -> str:
        return f"entry {self.entry_id} can't be read: {self.reason}"


class UnsupportedFaustError(TransportError):
    """The installed Faust has another version than the transport is made for.

    Attributes:
        installed: Version of faust-streaming that is installed.
        supported: Version that is supported.
    """

    def __init__(self, installed: str, supported: str) -> None:
        super().__init__(installed, supported)
        self.installed = installed
        self.supported = supported

    def __str__(self) -> str:
        return (
            f"faust-streaming {self.installed} is installed, this transport is made for {self.supported}: "
            f"pip install faust-streaming=={self.supported}"
        )


class UnsupportedServerError(TransportError):
    """The server can't do what the transport needs.

    Attributes:
        version: What it calls itself.
        reason: Why it won't do, as the rest of a sentence about it.
    """

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(version, reason)
        self.version = version
        self.reason = reason

    @classmethod
    def too_old(cls, version: str) -> UnsupportedServerError:
        """Return the error about a server older than Redis 7.0."""
        return cls(version, "is too old: XADD with ids such as 0-* came with Redis 7.0")

    def __str__(self) -> str:
        return f"Redis {self.version} {self.reason}"


class UnsupportedSettingError(TransportError):
    """A Faust setting promises what Redis Streams can't keep.

    Attributes:
        setting: Name of the setting as Faust spells it.
        value: The value it holds.
        reason: Why it is refused.
    """

    def __init__(self, setting: str, value: object, reason: str) -> None:
        super().__init__(setting, value, reason)
        self.setting = setting
        self.value = value
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.setting}={self.value!s} is not supported on redis://: {self.reason}"


class WorkerDiedError(TransportError):
    """The workers that were given an event died, one after the other.

    Attributes:
        deaths: How many.
    """

    def __init__(self, deaths: int) -> None:
        super().__init__(deaths)
        self.deaths = deaths

    def __str__(self) -> str:
        return f"its worker died {self.deaths} times while it was being handled"
