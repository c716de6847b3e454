"""The end of a session: everything of it is removed, its sockets close, its running answer stops."""

from __future__ import annotations

from typing import Final

import orjson
from redis.asyncio import Redis

from pipeline.chat.answer_runs import partial_key
from pipeline.chat.presence import Presence, SubscriberNodes, presence_key
from pipeline.chat.sessions import session_key
from pipeline.chat.stop_signals import announce_stop
from pipeline.redis.client import execute_many, retry_until_available
from pipeline.redis.scripts import Code, Script

_END: Final = Script(__package__, "end_session", keys=3, arguments=())


async def end_session(redis: Redis, token: str, *, patience: float | None = None) -> bool:
    """Remove a session, have its sockets closed and its running answer stopped; safe to repeat.

    What is on its way to the session finds it gone and writes nothing: the scripts change a session only if
    it is there, and add to a running answer only if that is.

    Args:
        patience: seconds to wait for Redis before its error is raised; None waits without end.

    Returns:
        Whether there was one.
    """
    keys = [session_key(token), partial_key(token), presence_key(token)]
    # The reply of the removal may be lost in an outage, and its repeat finds nothing: so look before.
    look = [("HGETALL", keys[2]), ("JSON.GET", keys[0], "$._turn.id")]
    nodes, open_turn = await retry_until_available(lambda: execute_many(redis, look), patience=patience)
    reply = await retry_until_available(lambda: _END(redis, keys), patience=patience)
    subscribers = SubscriberNodes.of([*nodes, *reply[1]])
    turns = {*orjson.loads(open_turn or b"[]"), reply[2].decode()} - {"", None}
    await Presence(redis, patience=patience).publish_to([(token, subscribers, {"type": "ended"})])
    for turn in turns:
        await announce_stop(redis, token, turn, patience=patience)
    return Code(reply[0]) is Code.ENDED
