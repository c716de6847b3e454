"""Redis Streams as a transport for Faust: ``faust.App("x", broker="redis://localhost")``.

This package stands alone: it needs Faust and redis-py with hiredis, and may have any name.
"""

from faust_redis.consuming.attempts import REDELIVERY_HEADER
from faust_redis.driver import Transport, register
from faust_redis.errors import (
    BrokerAddressError,
    NoSuchDeadLetterError,
    OptionError,
    TopicMismatchError,
    TransportError,
    UnsupportedServerError,
    UnsupportedSettingError,
)
from faust_redis.log.dead_letters import DeadLetter, DeadLetters
from faust_redis.options import Options, configure, options_of

__all__ = [
    "REDELIVERY_HEADER",
    "BrokerAddressError",
    "DeadLetter",
    "DeadLetters",
    "NoSuchDeadLetterError",
    "OptionError",
    "Options",
    "TopicMismatchError",
    "Transport",
    "TransportError",
    "UnsupportedServerError",
    "UnsupportedSettingError",
    "configure",
    "options_of",
    "register",
]
