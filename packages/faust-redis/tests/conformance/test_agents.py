"""What Faust promises for agents and streams, one test for each feature."""

from __future__ import annotations

import time
from typing import Any

import pytest

from faust_redis.testing import wait_until
from tests.conformance.conftest import Lab, Send

pytestmark = pytest.mark.usefixtures("agents_program")


def flat(batches: list[list[Any]]) -> list[Any]:
    return [each for batch in batches for each in batch]


@pytest.mark.parametrize(
    ("call", "answers"),
    [
        ("ask", [49]),
        ("ask-record", ["Ada: 3"]),
        ("map", [[1, 4, 9]]),
        ("kvmap", [[4, 9]]),
        ("join", [[1, 4, 9, 16]]),
        ("kvjoin", [[4, 9]]),
        ("parallel", [[number * number for number in range(20)]]),
    ],
)
def test_an_agent_answers(lab: Lab, call: str, answers: list[Any]) -> None:
    assert lab.wait_notes(call, 1) == answers


def test_an_answer_that_comes_twice_counts_once(lab: Lab) -> None:
    assert lab.wait_notes("answered-twice", 1) == [[1, 2]]


def test_an_agent_answers_to_a_topic_named_by_the_sender(lab: Lab) -> None:
    assert sorted(lab.wait_notes("reply-topic", 2)) == [25, 36]


async def test_what_an_agent_yields_goes_to_agents_coroutines_and_topics(lab: Lab, send: Send) -> None:
    await send("sinking", 1)

    for sink in ("sink-agent", "sink-coroutine", "sink-topic"):
        assert lab.wait_notes(sink, 1) == [2]


async def test_an_agent_with_concurrency_works_on_several_events_at_once(lab: Lab, send: Send) -> None:
    for number in range(3):
        await send("concurrent", number)

    assert sorted(lab.wait_notes("concurrent", 3)) == [0, 1, 2]


async def test_take_gathers_values_up_to_a_number_or_a_time(lab: Lab, send: Send) -> None:
    for number in range(5):
        await send("taken", number)

    def gathered() -> bool:
        return flat(lab.notes("take")) == [0, 1, 2, 3, 4]

    wait_until(gathered, "five numbers in batches")
    assert max(len(batch) for batch in lab.notes("take")) <= 3


async def test_take_events_gathers_events(lab: Lab, send: Send) -> None:
    for number in range(2):
        await send("taken-events", number, key=str(number))

    def gathered() -> bool:
        return flat(lab.notes("take_events")) == [["0", 0], ["1", 1]]

    wait_until(gathered, "two events in batches")


async def test_noack_take_leaves_the_ack_to_the_agent(lab: Lab, send: Send) -> None:
    for number in range(4):
        await send("taken-noack", number)

    wait_until(lambda: flat(lab.notes("noack_take")) == [0, 1, 2, 3], "four values in batches")
    wait_until(lambda: lab.redis.xlen("{taken-noack:0}") == 0, "all to be acked")


async def test_group_by_a_field_repartitions_by_that_field(lab: Lab, send: Send) -> None:
    for number, country in enumerate(["UK", "FR", "UK", "FR"]):
        await send(
            "sales", {"customer": f"c{number}", "country": country, "amount": number}, key=f"c{number}"
        )

    grouped = lab.wait_notes("group_by", 4)
    assert {amount: key for key, amount, *_ in grouped} == {0: "UK", 1: "FR", 2: "UK", 3: "FR"}
    assert all("repartition" in topic for _, _, topic, _ in grouped)
    assert len({(key, partition) for key, _, _, partition in grouped}) == 2


async def test_group_by_a_function_has_partitions_of_its_own(lab: Lab, send: Send) -> None:
    for amount in (5, 50):
        await send("sales-called", {"customer": "c", "country": "UK", "amount": amount}, key="c")

    assert sorted(lab.wait_notes("group_by-callable", 2)) == [["big", 50], ["small", 5]]


async def test_through_forwards_to_a_topic_and_reads_from_it(lab: Lab, send: Send) -> None:
    await send("through-in", "value")

    assert lab.wait_notes("through", 1) == [["through-out", "value"]]


async def test_filter_skips_and_acks_what_it_skips(lab: Lab, send: Send) -> None:
    for number in range(5):
        await send("filtered", number)

    assert lab.wait_notes("filter", 3) == [0, 2, 4]
    wait_until(lambda: lab.redis.xlen("{filtered:0}") == 0, "all to be acked")


async def test_a_processor_changes_what_the_agent_sees(lab: Lab, send: Send) -> None:
    await send("processed", 4)

    assert lab.wait_notes("processor", 1) == [40]


async def test_echo_forwards_and_goes_on(lab: Lab, send: Send) -> None:
    await send("echoing", "value")

    assert lab.wait_notes("echo", 1) == lab.wait_notes("echoed", 1) == ["value"]


async def test_enumerate_counts(lab: Lab, send: Send) -> None:
    for value in "ab":
        await send("enumerated", value)

    assert lab.wait_notes("enumerate", 2) == [[1, "a"], [2, "b"]]


async def test_items_gives_keys_and_values(lab: Lab, send: Send) -> None:
    await send("with-items", 1, key="Ada")

    assert lab.wait_notes("items", 1) == [["Ada", 1]]


async def test_an_event_has_key_headers_timestamp_and_the_partition_asked_for(lab: Lab, send: Send) -> None:
    await send("with-events", 5, key="k", headers={"trace": b"abc"}, timestamp=1234.5, partition=3)

    assert lab.wait_notes("events", 1) == [["k", 5, {"trace": "abc"}, 1234.5, 3]]


async def test_a_message_without_a_timestamp_gets_the_time_it_was_sent(lab: Lab, send: Send) -> None:
    seen = len(lab.notes("events"))
    before = time.time()
    await send("with-events", 6, key="k")

    timestamp = lab.wait_notes("events", seen + 1)[-1][3]
    assert before - 0.01 <= timestamp <= time.time()


async def test_noack_leaves_the_ack_to_the_agent(lab: Lab, send: Send) -> None:
    await send("unacked", "leave me")
    await send("unacked", "ack me")
    lab.wait_notes("noack", 2)

    def pending() -> bool:
        (group,) = lab.redis.xinfo_groups("{unacked:0}")
        return bool(group["pending"] == 1)

    wait_until(pending, "one of two to be acked")


async def test_one_agent_reads_several_topics(lab: Lab, send: Send) -> None:
    for topic in ("one", "two"):
        await send(topic, 1)

    assert sorted(lab.wait_notes("several-topics", 2)) == [["one", 1], ["two", 1]]


async def test_an_agent_reads_a_channel_in_memory(lab: Lab, send: Send) -> None:
    await send("to-channel", 8)

    assert lab.wait_notes("channel", 1) == [8]


async def test_a_forwarded_event_keeps_key_value_and_headers(lab: Lab, send: Send) -> None:
    await send("forwarding", "v", key="k", headers={"h": b"1"})

    assert lab.wait_notes("forward", 1) == [["k", "v", ["h"]]]


async def test_isolated_partitions_have_an_agent_each(lab: Lab, send: Send) -> None:
    for partition in range(4):
        for _ in range(2):
            await send("isolated", 1, partition=partition)

    assert sorted(lab.wait_notes("isolated", 8)) == sorted([partition, 1] for partition in [0, 1, 2, 3] * 2)


async def test_values_travel_as_raw_bytes(lab: Lab, send: Send) -> None:
    await send("raw", b"\x00\xff", value_serializer="raw")

    assert lab.wait_notes("raw", 1) == [[0, 255]]


async def test_a_topic_without_acks_is_read_and_leaves_nothing_pending(lab: Lab, send: Send) -> None:
    await send("not-acked", "value", partition=0)

    assert lab.wait_notes("acks-false", 1) == ["value"]
    assert lab.redis.xinfo_groups("{not-acked:0}") == []


def test_every_way_to_send_arrives(lab: Lab) -> None:
    ways = ["agent.send", "app.send", "awaited", "callback", "cast", "send_soon", "topic.send"]

    assert sorted(lab.wait_notes("sent-ways", len(ways))) == ways
    assert lab.notes("metadata") == [["sent-ways", "sent-ways", True]]
