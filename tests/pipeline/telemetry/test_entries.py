"""What can be seen of single entries, and what is kept from view."""

from __future__ import annotations

import json

import pytest

from faust_redis.log.entries import encode
from faust_redis.log.keys import attempts_key, stream_key
from pipeline.redis.client import connect, execute
from pipeline.telemetry.stages.entries import Entries
from pipeline.telemetry.stages.redaction import shown_error, shown_message

STREAM = stream_key("infer", 3)
SECRET = "my diagnosis"


async def test_entries_are_paged_by_offset_from_both_ends(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        await execute(redis, "XGROUP", "CREATE", STREAM, "infer", "0", "MKSTREAM")
        for number in range(10):
            await execute(redis, "XADD", STREAM, "0-*", *encode(b"k", b"%d" % number, None, 1.0))
        await execute(redis, "XREADGROUP", "GROUP", "infer", "w1", "COUNT", 6, "STREAMS", STREAM, ">")
        await redis.hset(attempts_key("infer", 3, "infer"), "0-2", "4")
        entries = Entries(redis, "infer")

        latest = await entries.latest(3, count=6)
        assert [entry.offset for entry in latest] == [10, 9, 8, 7, 6, 5]
        assert [entry.consumer for entry in latest] == [None, None, None, None, "w1", "w1"]
        assert [entry.offset for entry in await entries.latest(3, before=5, count=6)] == [4, 3, 2, 1]

        pending = await entries.pending(3, count=4)
        assert [entry.offset for entry in pending] == [1, 2, 3, 4]
        assert [entry.attempts for entry in pending] == [0, 4, 0, 0]
        assert pending[0].record is not None
        assert pending[0].record.value == b"0"
        assert [entry.offset for entry in await entries.pending(3, after=4, count=4)] == [5, 6]


async def test_an_entry_deleted_while_it_was_pending_is_shown_as_such(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        await execute(redis, "XADD", STREAM, "0-*", *encode(None, b"{}", None, 1.0))
        await execute(redis, "XGROUP", "CREATE", STREAM, "infer", "0")
        await execute(redis, "XREADGROUP", "GROUP", "infer", "w1", "STREAMS", STREAM, ">")
        await execute(redis, "XDEL", STREAM, "0-1")
        (entry,) = await Entries(redis, "infer").pending(3)
        assert entry.record is None


async def test_a_partition_that_does_not_exist_has_no_entries(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        assert await Entries(redis, "infer").latest(3) == []
        assert await Entries(redis, "infer").pending(3) == []


@pytest.mark.parametrize(
    "message",
    [
        {"text": SECRET},
        {"id": SECRET},
        {"context": [SECRET]},
        {"detail": SECRET},
        {"a field of tomorrow": {"deep": SECRET}},
        [SECRET],
        SECRET,
    ],
)
def test_what_people_wrote_is_hidden_in_whatever_field_it_stands(message: object) -> None:
    value = json.dumps(message).encode()
    assert SECRET not in json.dumps(shown_message(value, private=False))
    assert SECRET in json.dumps(shown_message(value, private=True))


def test_a_message_that_is_no_json_is_hidden_too() -> None:
    assert SECRET not in shown_message(b"\xff" + SECRET.encode(), private=False)
    assert SECRET in shown_message(b"\xff" + SECRET.encode(), private=True)


def test_what_says_nothing_of_people_is_shown_and_a_token_never_whole() -> None:
    token = "50bdc1d9-f160-4f9b-b0ef-1c15286ef302"
    value = json.dumps({"token": token, "turn": "m-1", "error": "model_timeout", "sent_at": 1.5}).encode()
    for private in (False, True):
        shown = shown_message(value, private=private)
        assert (shown["turn"], shown["error"], shown["sent_at"]) == ("m-1", "model_timeout", 1.5)
        assert token not in json.dumps(shown)


def test_of_an_error_only_its_kind_is_shown() -> None:
    error = f"ValueError: cannot parse {SECRET!r}"
    assert shown_error(error, private=False) == "ValueError: …"
    assert shown_error(error, private=True) == error
