"""End a session: remove its data, close its sockets and stop its running answer."""

from __future__ import annotations

from typing import Final

import orjson
from redis.asyncio import Redis

from faust_redis import DeadLetters
from pipeline.chat.answer_runs import partial_key
from pipeline.chat.presence import Presence, SubscriberNodes, presence_key
from pipeline.chat.session_scripts import session_key
from pipeline.chat.stop_signals import announce_stop
from pipeline.redis.client import execute_many, retry_until_available
from pipeline.redis.scripts import Code, Script
from pipeline.settings import STAGES

_END: Final = Script(__package__, "end_session", keys=3, arguments=())


async def end_session(redis: Redis, token: str, *, patience: float | None = None) -> bool:
    """Remove a session, close its sockets and stop its running answer; safe to repeat.

    Its dead letters are dropped as well, if they are among the latest thousand of their partition; older
    ones go when their retention ends. Messages still on their way write nothing, because scripts change a
    session only if it exists, and append to a partial answer only if that exists.

    Args:
        patience: seconds to wait for Redis before its error is raised; None waits without limit.

    Returns:
        Whether the session existed.
    """
    keys = [session_key(token), partial_key(token), presence_key(token)]
    # Read first, because an outage may lose the reply of the removal, and its repeat finds nothing.
    look = [("HGETALL", keys[2]), ("JSON.GET", keys[0], "$._turn.id")]
    nodes, open_turn = await retry_until_available(lambda: execute_many(redis, look), patience=patience)
    reply = await retry_until_available(lambda: _END(redis, keys), patience=patience)
    subscribers = SubscriberNodes.of([*nodes, *reply[1]])
    turns = {*orjson.loads(open_turn or b"[]"), reply[2].decode()} - {"", None}
    await Presence(redis, patience=patience).publish_to([(token, subscribers, {"type": "ended"})])
    for turn in turns:
        await announce_stop(redis, token, turn, patience=patience)
    ended = Code(reply[0]) is Code.ENDED
    if ended:  # only then, so that calls with made-up tokens stay cheap
        letters, key = DeadLetters(redis), token.encode()
        await retry_until_available(lambda: letters.drop_key(STAGES, key), patience=patience)
    return ended
