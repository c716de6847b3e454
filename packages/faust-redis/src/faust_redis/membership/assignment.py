"""A member's part of the plan, corrected for the tables of its own program.

Faust's assignor assumes that all members of a group run the same program. While a new version
with further topics is rolled out, or when two programs share an app id, the leader plans without knowing the
tables of the others: it treats a changelog as an ordinary topic, divides a global table's changelog,
and assigns its own global tables to everybody. The owner of each partition is still correct.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment  # type: ignore[import-untyped]
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata
from faust.assignor.partition_assignor import PartitionAssignor

from faust_redis.faust_hooks import tables as hooks

__all__ = ["own_assignment"]

_Distribution = Mapping[str, Mapping[str, list[int]]]


def own_assignment(
    assignor: PartitionAssignor,
    assignment: ConsumerProtocolMemberAssignment,
    partitions: Mapping[str, int],
) -> ConsumerProtocolMemberAssignment:
    """Return the leader's assignment, corrected for the tables of this member.

    Args:
        partitions: How many partitions each topic has that this member subscribes to.
    """
    metadata = cast(ClientMetadata, ClientMetadata.loads(hooks.decompress(assignor, assignment.user_data)))
    part = ClientAssignment(
        actives=_only(metadata.assignment.actives, partitions),
        standbys=_only(metadata.assignment.standbys, partitions),
    )
    tables = hooks.table_manager_of(assignor)
    if any(
        table.is_global and len(part.actives.get(topic, ())) < partitions.get(topic, 0)
        for topic, table in hooks.tables_by_changelog(tables).items()
    ):
        hooks.assign_global_tables(assignor, {"": part}, partitions)
    everywhere = _united(metadata.changelog_distribution, metadata.external_topic_distribution)
    changelogs = tables.changelog_topics
    return ConsumerProtocolMemberAssignment(
        assignment.version,
        sorted(part.kafka_protocol_assignment(tables)),
        hooks.compress(
            assignor,
            ClientMetadata(
                assignment=part,
                url=metadata.url,
                changelog_distribution={url: _only(topics, changelogs) for url, topics in everywhere.items()},
                external_topic_distribution={
                    url: _only(topics, topics.keys() - changelogs) for url, topics in everywhere.items()
                },
                topic_groups=metadata.topic_groups,
            ).dumps(),
        ),
    )


def _only(assigned: Mapping[str, list[int]], topics: Iterable[str]) -> dict[str, list[int]]:
    wanted = set(topics)
    return {topic: partitions for topic, partitions in assigned.items() if topic in wanted}


def _united(*distributions: _Distribution) -> dict[str, dict[str, list[int]]]:
    united: dict[str, dict[str, list[int]]] = {}
    for distribution in distributions:
        for url, topics in distribution.items():
            united.setdefault(url, {}).update(topics)
    return united
