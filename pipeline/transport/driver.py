"""The transport itself: ``faust.App("x", broker="redis://…")`` ends up here by entry point."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import redis as redis_py
from faust.transport import base
from faust.types.enums import ProcessingGuarantee
from faust.types.transports import ConductorT, ConsumerT, ProducerT

from .consumer import Consumer
from .errors import UnsupportedSettingError
from .link import Link
from .producer import Producer

__all__ = ["Transport"]


class Conductor(base.Conductor):
    """Faust's conductor; it subscribes within seconds to topics that are added later, as for replies."""

    #: Seconds in which further topics are gathered; Faust waits 45, as a rebalance of Kafka is dear. Not
    #: below 3, after which ``ReplyConsumer`` starts to listen: an earlier reply would reach nobody.
    _resubscribe_sleep_lock_seconds = 4.0


class Transport(base.Transport):
    """Redis Streams as Faust's broker.

    Raises:
        UnsupportedSettingError: The app asks for something that Redis can't keep, such as exactly once.
    """

    Consumer: ClassVar[type[ConsumerT]] = Consumer
    Producer: ClassVar[type[ProducerT]] = Producer
    Conductor: ClassVar[type[ConductorT]] = Conductor

    default_port = 6379
    driver_version = f"redis={redis_py.__version__}"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        guarantee = cast(ProcessingGuarantee, self.app.conf.processing_guarantee)
        if guarantee is ProcessingGuarantee.EXACTLY_ONCE:
            raise UnsupportedSettingError(
                "processing_guarantee",
                guarantee.value,
                "Redis has no transaction over several streams; delivery is at least once",
            )
        self.address = str(self.url[0])

    @property
    def link(self) -> Link:
        """What the consumer and the producer of one app share: the pool, the scripts, the topics."""
        return Link.of(self.app, self.address)
