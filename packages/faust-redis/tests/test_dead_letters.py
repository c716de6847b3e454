"""Dead letters, made by the script that makes them, against a real Redis."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from faust_redis import DeadLetter, DeadLetters, NoSuchDeadLetterError, Options, partition_for_key
from faust_redis.log.entries import decode, encode
from faust_redis.log.keys import Keys
from faust_redis.redis.scripts import FAIL, ScriptRunner

KEYS = Keys()

MAX_AGE = int(Options().dead_letter_age)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def give_up(
    shop: Redis, topic: str, partition: int, value: bytes, error: str = "ValueError: no"
) -> None:
    """Send, deliver and fail a message, as a worker whose agent raises does."""
    stream = KEYS.stream((topic, partition))
    fields = encode(b"key", value, {"traceparent": TRACE.encode()}, 1.5)
    sent = await shop.execute_command("XADD", stream, "0-*", *fields)  # type: ignore[no-untyped-call]
    if not await shop.xinfo_groups(stream):
        await shop.xgroup_create(stream, "app", "0")
    await shop.set(KEYS.lease((topic, partition), "app"), "1:worker")
    await shop.xreadgroup("app", "worker", {stream: ">"})
    keys = [stream, KEYS.lease((topic, partition), "app"), KEYS.attempts((topic, partition), "app")]
    keys += [KEYS.dead((topic, partition)), KEYS.suspects((topic, partition), "app")]
    failed = await ScriptRunner(shop).call(
        FAIL,
        keys,
        group="app",
        lease="1:worker",
        entry_id=sent,
        allowed=1,
        error_text="ValueError: no",
        kept_count=100,
        kept_ms=MAX_AGE * 1000,
    )
    assert failed == [1, 1]


async def only(dead_letters: DeadLetters) -> DeadLetter:
    (letter,) = await dead_letters.page(["orders", "bills"])
    return letter


async def test_a_dead_letter_tells_what_it_was_and_why_it_died(
    shop: Redis, dead_letters: DeadLetters
) -> None:
    await give_up(shop, "orders", 1, b"value")

    letter = await only(dead_letters)

    assert (letter.topic, letter.partition, letter.group, letter.offset) == ("orders", 1, "app", 1)
    assert (letter.attempts, letter.error) == (1, "ValueError: no")
    assert (letter.key, letter.value, letter.timestamp) == (b"key", b"value", 1500)
    assert letter.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert await dead_letters.get(letter.id) == letter


async def test_pages_go_from_the_latest_to_the_first_over_all_partitions(
    shop: Redis, dead_letters: DeadLetters
) -> None:
    places = [("orders", 0), ("bills", 0), ("orders", 1)]
    for number in range(9):
        await give_up(shop, *places[number % 3], b"%d" % number)

    seen: list[DeadLetter] = []
    while page := await dead_letters.page(["orders", "bills"], before=seen[-1].id if seen else None, count=4):
        seen += page

    assert len(seen) == len({letter.id for letter in seen}) == 9
    assert [letter.died_at for letter in seen] == sorted((each.died_at for each in seen), reverse=True)
    assert await dead_letters.counts(["orders", "bills", "unknown"]) == {
        "orders": 6,
        "bills": 3,
        "unknown": 0,
    }


async def test_a_page_can_be_bounded_by_time(shop: Redis, dead_letters: DeadLetters) -> None:
    await give_up(shop, "orders", 0, b"value")
    died_at = (await only(dead_letters)).died_at

    assert await dead_letters.page(["orders"], since=died_at + 1) == []
    assert await dead_letters.page(["orders"], until=died_at - 1) == []
    assert len(await dead_letters.page(["orders"], since=died_at - 1, until=died_at + 1)) == 1


async def test_replay_puts_the_message_back_as_it_was_and_marks_it(
    shop: Redis, dead_letters: DeadLetters
) -> None:
    await give_up(shop, "orders", 0, b"value")
    letter = await only(dead_letters)

    offset = await dead_letters.replay(letter.id)

    assert await dead_letters.page(["orders"]) == []
    entries = await shop.execute_command("XRANGE", KEYS.stream(("orders", 0)), "-", "+")  # type: ignore[no-untyped-call]
    back = decode(*entries[-1])
    assert (back.offset, back.key, back.value, back.timestamp) == (offset, b"key", b"value", 1500)
    assert back.headers == [("traceparent", TRACE.encode()), ("replayed", b"1")]


async def test_a_second_replay_or_drop_says_that_there_is_nothing_left(
    shop: Redis, dead_letters: DeadLetters
) -> None:
    await give_up(shop, "orders", 0, b"value")
    letter_id = (await only(dead_letters)).id
    await dead_letters.replay(letter_id)

    for action in (dead_letters.replay, dead_letters.drop, dead_letters.get):
        with pytest.raises(NoSuchDeadLetterError, match=letter_id):
            await action(letter_id)


@pytest.mark.parametrize("letter_id", ["", "orders", "orders:0", "orders:x:1-0", "orders:0:-"])
async def test_what_is_no_id_names_no_dead_letter(dead_letters: DeadLetters, letter_id: str) -> None:
    with pytest.raises(NoSuchDeadLetterError):
        await dead_letters.get(letter_id)


async def test_dead_letters_expire_and_are_bounded(shop: Redis, dead_letters: DeadLetters) -> None:
    for number in range(400):
        await give_up(shop, "orders", 0, b"%d" % number)

    assert (await dead_letters.counts(["orders"]))["orders"] < 300
    assert (await dead_letters.page(["orders"], count=1))[0].value == b"399"
    assert 0 < await shop.pttl(KEYS.dead(("orders", 0))) <= MAX_AGE * 1000


async def test_the_dead_letters_of_a_key_can_be_dropped(shop: Redis, dead_letters: DeadLetters) -> None:
    partition = partition_for_key(b"key", 2)
    for number in range(250):
        await give_up(shop, "orders", partition, b"%d" % number)
    await give_up(shop, "bills", 0, b"value")
    kept = (await dead_letters.counts(["orders"]))["orders"]

    assert await dead_letters.drop_key(["orders", "bills", "unknown"], b"other") == 0
    assert await dead_letters.drop_key(["orders"], b"key", at_most=100) == 100
    assert await dead_letters.drop_key(["orders", "bills", "unknown"], b"key") == kept - 100 + 1
    assert await dead_letters.drop_key(["orders", "bills", "unknown"], b"key") == 0
    assert await dead_letters.page(["orders", "bills"]) == []
