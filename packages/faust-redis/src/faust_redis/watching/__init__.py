"""Watch all Faust apps on a Redis, without a change to any of them.

app = web.Application()                                            # of aiohttp
app.add_subapp("/faust/", watch_app("redis://localhost"))          # the page, its JSON and its metrics

``python -m faust_redis.watching redis://localhost`` serves the page alone. :class:`Watch` returns the same
figures to a program. Apps, topics and workers are found by the keys that the transport writes. Entries are
never counted one by one, so a topic of a million entries costs as much as an empty one.
"""

from faust_redis.watching.address import client_of
from faust_redis.watching.discovery import discover
from faust_redis.watching.entries import entry_as_json, letter_as_json
from faust_redis.watching.operating import LetterPreview, Move, Operator, SearchPage
from faust_redis.watching.reasons import reason_of_reading
from faust_redis.watching.recorded import RecordedHistory, RecordedMoment, Tier
from faust_redis.watching.recorder import Recorder, weight_of
from faust_redis.watching.shared_sampling import SharedSampling
from faust_redis.watching.snapshot import (
    AppSnapshot,
    PartitionFigures,
    ReadingSnapshot,
    TopicSnapshot,
    WatchSnapshot,
    WorkerFigures,
)
from faust_redis.watching.state import Judge, Moment, StageState
from faust_redis.watching.topology import AppFacts, TopicKind, Topology
from faust_redis.watching.watch import Point, Watch
from faust_redis.watching.web import PAGE, watch_app

__all__ = [
    "PAGE",
    "AppFacts",
    "AppSnapshot",
    "Judge",
    "LetterPreview",
    "Moment",
    "Move",
    "Operator",
    "PartitionFigures",
    "Point",
    "ReadingSnapshot",
    "RecordedHistory",
    "RecordedMoment",
    "Recorder",
    "SearchPage",
    "SharedSampling",
    "StageState",
    "Tier",
    "TopicKind",
    "TopicSnapshot",
    "Topology",
    "Watch",
    "WatchSnapshot",
    "WorkerFigures",
    "client_of",
    "discover",
    "entry_as_json",
    "letter_as_json",
    "reason_of_reading",
    "watch_app",
    "weight_of",
]
