"""Two versions of the scripts work on one session, as they do while a service is upgraded or set back."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.chat.records import answer_id
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from tests.pipeline.chat.talk import Talk, answer, inbound, stored
from tests.support.previous import extract_previous

#: Runs the sessions of its version: a line of JSON per call, and one with each result.
OTHER_SIDE = """
import asyncio, json, sys
from pipeline.chat.records import Inbound, TurnOutcome
from pipeline.chat.sessions import Sessions
from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from pipeline.redis.client import connect
from pipeline.settings import Settings

async def main():
    redis = connect(sys.argv[1])
    sessions = Sessions(redis, Settings(redis_url=sys.argv[1]))
    for line in sys.stdin:
        operation, entry, fields = json.loads(line)
        record = (Inbound if operation == "accept" else TurnOutcome)(**fields)
        result = await getattr(sessions, operation)(record, entry)
        print(json.dumps([type(result).__name__, getattr(result, "frame", None)]), flush=True)
    await redis.aclose()

asyncio.run(main())
"""


class PreviousSessions:
    """The sessions of the previous version, in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, operation: str, record: Any, entry: str) -> tuple[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        fields = {name: value for name, value in record.asdict().items() if value is not None}
        # Fields that this version has added.
        for name in ("follows", "node", "reopen", "restored", "returned"):
            fields.pop(name, None)
        self._process.stdin.write(json.dumps([operation, entry, fields]).encode() + b"\n")
        name, frame = json.loads(await self._process.stdout.readline())
        return name, frame


@asynccontextmanager
async def previous_sessions(folder: Path, url: str) -> AsyncIterator[PreviousSessions]:
    source = extract_previous(folder, "pipeline", "packages/faust-redis/src")
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{source}/packages/faust-redis/src"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OTHER_SIDE, url, cwd=folder, env=environment, stdin=pipe, stdout=pipe
    )
    try:
        yield PreviousSessions(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def test_versions_take_turns_on_a_session_and_its_repeats(
    talk: Talk, sessions: Sessions, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    async with previous_sessions(tmp_path, redis_url) as previous:

        async def accept(is_previous: bool, text: str) -> tuple[str, Any]:
            message, entry = inbound(talk.token, text, f"m-{text}"), f"ingest:0:{text}"
            if is_previous:
                return await previous.call("accept", message, entry)
            result = await sessions.accept(message, entry)
            return type(result).__name__, getattr(result, "frame", None)

        async def close(is_previous: bool, text: str) -> tuple[str, Any]:
            outcome, entry = answer(talk.token, f"m-{text}", text.upper()), f"deliver:0:{text}"
            if is_previous:
                return await previous.call("close", outcome, entry)
            result = await sessions.close(outcome, entry)
            return type(result).__name__, getattr(result, "frame", None)

        for text in ("a", "b", "c", "d"):
            first, second = text in "ab", text in "bc"
            assert (await accept(first, text))[0] == "Opened"
            assert (await accept(second, text + text))[0] == "Queued"
            assert (await accept(not first, text))[0] == "Opened"  # the same entry again
            closed = await close(second, text)
            assert closed[0] == "Closed"
            assert await close(not second, text) == closed  # the same entry again
            assert (await close(first, text + text))[0] == "Closed"
        for text in ("a", "bb", "c", "dd"):
            ended = await accept(False, text)
            assert ended == await accept(True, text)
            assert ended[0] == "Ended"
            assert ended[1]["msg"] == text.upper()

    kept = await stored(redis, talk.token)
    texts = [text for one in "abcd" for text in (one, one + one)]
    wanted = [line for text in texts for line in (f"Human: {text}", f"Bot: {text.upper()}")]
    assert await talk.history() == wanted
    assert [kept["_places"][f"m-{text}"] for text in texts] == list(range(0, 16, 2))
    assert [kept["_places"][answer_id(f"m-{text}")] for text in texts] == list(range(1, 16, 2))
    assert len(kept["_unsent"]) == 8
    assert (kept["_turn"], kept["_inbox"]) == (None, [])
    times = [message["timestamp"] for message in kept["messages"][::2]]
    assert times == sorted(times)


@pytest.mark.parametrize("missing", [("_places", "_bytes"), ("_summary",)])
async def test_a_session_without_fields_of_this_version_goes_on(
    talk: Talk, redis: Redis, missing: tuple[str, ...]
) -> None:
    await talk.say("one", "1")
    before = await stored(redis, talk.token)
    for name in missing:
        await execute(redis, "JSON.DEL", session_key(talk.token), f"$.{name}")

    await talk.say("two", "2")

    after = await stored(redis, talk.token)
    assert await talk.history() == ["Human: one", "Bot: 1", "Human: two", "Bot: 2"]
    assert set(before) == set(after)
    assert after["_summary"][1] == "m-two"
    assert after["_summary"][0] == after["messages"][-1]["timestamp"]
