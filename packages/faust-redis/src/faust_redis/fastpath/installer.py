"""Install the fast path in one app; other apps of the process keep Faust's own classes."""

from __future__ import annotations

from typing import Any

import faust
from faust.types import AppT, PendingMessage

from faust_redis.fastpath.stream import Stream
from faust_redis.fastpath.topic import Topic
from faust_redis.faust_hooks import apps
from faust_redis.faust_hooks.sensors import InternalSensor, add_internal
from faust_redis.joins.streams import JoiningStream

__all__ = ["install_fast_path"]


def install_fast_path(app: AppT) -> None:
    """Give an app the transport's streams and topics, where the program has not replaced Faust's."""
    if apps.stream_class(app) is JoiningStream:
        apps.set_stream_class(app, Stream)
    add_internal(app, _TopicInstaller())


class _TopicInstaller(InternalSensor):
    """Puts each topic of an app on the fast path at its first message.

    Topics are made when a program is loaded, long before its broker's driver is. Subclasses of Faust's topic
    stay as they are.
    """

    def on_send_initiated(
        self, producer: Any, topic: str, message: PendingMessage, keysize: int, valsize: int
    ) -> None:
        """Called by Faust before it hands a message to the producer."""
        if type(message.channel) is faust.Topic:
            message.channel.__class__ = Topic
