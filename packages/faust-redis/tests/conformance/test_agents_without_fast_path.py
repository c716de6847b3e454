"""What Faust promises for agents, in short, on its own path: its streams, topics, conductor and sensors.

`make conformance` runs all of conformance on either path.
"""

from __future__ import annotations

import pytest

from tests.conformance.test_agents import (
    test_a_forwarded_event_keeps_key_value_and_headers,
    test_a_topic_without_acks_is_read_and_leaves_nothing_pending,
    test_an_agent_answers,
    test_an_agent_reads_a_channel_in_memory,
    test_an_agent_with_concurrency_works_on_several_events_at_once,
    test_an_answer_that_comes_twice_counts_once,
    test_an_event_has_key_headers_timestamp_and_the_partition_asked_for,
    test_every_way_to_send_arrives,
    test_filter_skips_and_acks_what_it_skips,
    test_group_by_a_field_repartitions_by_that_field,
    test_isolated_partitions_have_an_agent_each,
    test_noack_leaves_the_ack_to_the_agent,
    test_noack_take_leaves_the_ack_to_the_agent,
    test_one_agent_reads_several_topics,
    test_take_gathers_values_up_to_a_number_or_a_time,
    test_through_forwards_to_a_topic_and_reads_from_it,
    test_what_an_agent_yields_goes_to_agents_coroutines_and_topics,
)

__all__ = [
    "test_a_forwarded_event_keeps_key_value_and_headers",
    "test_a_topic_without_acks_is_read_and_leaves_nothing_pending",
    "test_an_agent_answers",
    "test_an_agent_reads_a_channel_in_memory",
    "test_an_agent_with_concurrency_works_on_several_events_at_once",
    "test_an_answer_that_comes_twice_counts_once",
    "test_an_event_has_key_headers_timestamp_and_the_partition_asked_for",
    "test_every_way_to_send_arrives",
    "test_filter_skips_and_acks_what_it_skips",
    "test_group_by_a_field_repartitions_by_that_field",
    "test_isolated_partitions_have_an_agent_each",
    "test_noack_leaves_the_ack_to_the_agent",
    "test_noack_take_leaves_the_ack_to_the_agent",
    "test_one_agent_reads_several_topics",
    "test_take_gathers_values_up_to_a_number_or_a_time",
    "test_through_forwards_to_a_topic_and_reads_from_it",
    "test_what_an_agent_yields_goes_to_agents_coroutines_and_topics",
]

#: Of the programs that the fixtures start.
FAST_PATH = "false"

pytestmark = pytest.mark.usefixtures("agents_program")
