"""Redis Streams as a broker for Faust: ``faust.App("x", broker="redis://localhost")``.

A plain Faust program needs only the installed package. The names below offer more. They are all here, in
``faust_redis.inspection``, ``faust_redis.redis``, ``faust_redis.testing`` and ``faust_redis.watching``. All
other modules may change.
"""

from faust_redis.arrived import batches, set_current_event
from faust_redis.driver import Transport, register
from faust_redis.errors import (
    AbandonedError,
    BrokerAddressError,
    CopartitionError,
    ForeignBrokerError,
    JoinError,
    NoSuchDeadLetterError,
    NotOwnerError,
    OptionError,
    SeekError,
    TopicMismatchError,
    TopicNameError,
    TransportError,
    UnconfirmedWriteError,
    UnreadableEntryError,
    UnsupportedServerError,
    UnsupportedSettingError,
    WorkerDiedError,
)
from faust_redis.events import attempts_before, fail, is_last_attempt, marked, reject
from faust_redis.gc_tuning import freeze_startup_objects
from faust_redis.hooks import on_dead_letter
from faust_redis.inspection import (
    GroupSample,
    GroupSampler,
    Inspector,
    Member,
    PartitionSample,
    Record,
    StreamEntry,
    TopicFacts,
)
from faust_redis.log.dead_letters import DeadLetter, DeadLetters
from faust_redis.log.entries import REDELIVERY_HEADER
from faust_redis.log.topics import partition_of as partition_for_key
from faust_redis.membership.expulsion import expel
from faust_redis.options import Options, configure, options_of
from faust_redis.workers import lost_messages, member_id, prepare, resent_messages, unready

__all__ = [
    "REDELIVERY_HEADER",
    "AbandonedError",
    "BrokerAddressError",
    "CopartitionError",
    "DeadLetter",
    "DeadLetters",
    "ForeignBrokerError",
    "GroupSample",
    "GroupSampler",
    "Inspector",
    "JoinError",
    "Member",
    "NoSuchDeadLetterError",
    "NotOwnerError",
    "OptionError",
    "Options",
    "PartitionSample",
    "Record",
    "SeekError",
    "StreamEntry",
    "TopicFacts",
    "TopicMismatchError",
    "TopicNameError",
    "Transport",
    "TransportError",
    "UnconfirmedWriteError",
    "UnreadableEntryError",
    "UnsupportedServerError",
    "UnsupportedSettingError",
    "WorkerDiedError",
    "attempts_before",
    "batches",
    "configure",
    "expel",
    "fail",
    "freeze_startup_objects",
    "is_last_attempt",
    "lost_messages",
    "marked",
    "member_id",
    "on_dead_letter",
    "options_of",
    "partition_for_key",
    "prepare",
    "register",
    "reject",
    "resent_messages",
    "set_current_event",
    "unready",
]
