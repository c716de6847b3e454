"""Places where a result on Redis differs from Kafka's; each has a row in docs/differences.md."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["DIFFERENCES", "Difference"]


class Difference(NamedTuple):
    """One place of a result that differs.

    Attributes:
        on_redis: The value on Redis.
        row: The first cell of the row of docs/differences.md that gives the reason.
    """

    on_redis: Any
    row: str


_FIRST_OFFSET = "first offset"
_BREAK = "an agent that leaves its loop by `break`"
_RAISES = "an agent that raises"
_METADATA = "metadata of a sent message"
_UNDECODABLE = "an event that can't be decoded"


def _metadata(offset: int) -> dict[str, Any]:
    names = {"topic": "greetings", "partition": 0, "topic_partition": ["greetings", 0]}
    return {**names, "offset": offset, "timestamp_type": 0}


#: By program, and by the place in its result.
DIFFERENCES: dict[str, dict[str, Difference]] = {
    "bad_sends": {
        "/errors/no such partition/1": Difference(
            "ProducerSendError", "a send to a partition that does not exist"
        ),
        "/errors/too large": Difference("sent", "a message larger than `producer_max_request_size`"),
    },
    "breaking": {"/second loop": Difference([2, 3, 4], _BREAK)},
    "commands": {
        "/printed/send": Difference(_metadata(1), _METADATA),
        "/printed/send to an agent": Difference(_metadata(2), _METADATA),
    },
    "metadata": {
        "/fields": Difference(
            ["offset", "partition", "timestamp", "timestamp_type", "topic", "topic_partition"], _METADATA
        ),
        "/first offset": Difference(1, _FIRST_OFFSET),
        "/first offset of another partition": Difference(1, _FIRST_OFFSET),
    },
    "positions": {
        "/earliest, from the first/1": Difference(1, _FIRST_OFFSET),
        "/highwater, from the first/1": Difference(1, _FIRST_OFFSET),
    },
    "supervised": {
        f"/{name}": Difference([1, 2, 3], _RAISES) for name in ("handled", "one", "processed", "sink")
    },
    "traced": {"/one trace": Difference(True, "`setup_opentelemetry`")},
    "undecodable_batches": {
        f"/{name}": Difference([1, 2, 3], _UNDECODABLE) for name in ("events", "grouped", "taken", "through")
    },
    "raising": {"/done": Difference([1, 2, 3, 4], _RAISES), "/tries of 2": Difference(2, _RAISES)},
}
