"""Answers to ``ask``, ``map`` and ``join``: each call takes one answer and ignores later ones."""

from __future__ import annotations

from faust.agents.models import ReqRepResponse
from faust.agents.replies import ReplyConsumer as FaustReplyConsumer
from faust.models import maybe_model
from faust.types import AppT, ChannelT

from faust_redis.faust_hooks.apps import reply_consumer_of

__all__ = ["ReplyConsumer", "use_reply_consumer"]


class ReplyConsumer(FaustReplyConsumer):
    """Passes answers to their callers.

    An event that is delivered again is answered again. Faust's own consumer would end the worker on the
    second answer to an ``ask``, and count it for another one in a ``map``; it also never forgets a call.
    """

    async def _drain_replies(self, channel: ChannelT[ReqRepResponse]) -> None:
        async for reply in channel.stream():
            for promise in self._waiting.pop(reply.correlation_id, ()):
                promise.fulfill(reply.correlation_id, maybe_model(reply.value))


def use_reply_consumer(app: AppT) -> None:
    """Replace an app's reply consumer by ours, even if a first ``ask`` already waits in it.

    A second object beside Faust's would never listen: the topic is subscribed to once, by the first.
    """
    replies: object = reply_consumer_of(app)
    if type(replies) is FaustReplyConsumer:
        replies.__class__ = ReplyConsumer
