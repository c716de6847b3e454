"""Redis Streams as a transport for Faust: ``faust.App("x", broker="redis://localhost")``.

This package stands alone: it needs Faust and redis-py with hiredis, and may have any name.
"""

from .attempts import MAX_ATTEMPTS, REDELIVERY_HEADER
from .dead_letters import DeadLetter, DeadLetters
from .driver import Transport, register
from .errors import (
    BrokerAddressError,
    NoSuchDeadLetterError,
    TopicMismatchError,
    TransportError,
    UnsupportedServerError,
    UnsupportedSettingError,
)

__all__ = [
    "MAX_ATTEMPTS",
    "REDELIVERY_HEADER",
    "BrokerAddressError",
    "DeadLetter",
    "DeadLetters",
    "NoSuchDeadLetterError",
    "TopicMismatchError",
    "Transport",
    "TransportError",
    "UnsupportedServerError",
    "UnsupportedSettingError",
    "register",
]
