"""Topics, apps, and who reads and writes which topic; no I/O.

An app is a consumer group, or a program that only sends. It reads the topics that its members subscribe to,
and those on which it has a consumer group; it writes the topics that know one of its producers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from faust_redis.log.topics import TopicFacts

__all__ = ["AppFacts", "TopicKind", "Topology", "kind_of", "owner_of", "producer_app", "table_of"]

#: Ends of the names that Faust gives to topics of its own.
CHANGELOG: Final = "-changelog"
REPARTITION: Final = "-repartition"
LEADER: Final = "-__assignor-__leader"
#: Beginning of the topics of answers to ``ask()``, one for each process; the setting ``reply_to_prefix``.
REPLIES: Final = "f-reply-"


class TopicKind(StrEnum):
    """The purpose of a topic, by its declaration and its name."""

    QUEUE = "queue"
    LOG = "log"
    CHANGELOG = "changelog"
    REPARTITION = "repartition"
    REPLIES = "replies"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class AppFacts:
    """What Redis holds about an app.

    Attributes:
        subscriptions: The topics of each member.
        changed_at: When a member last joined or left, in seconds since the epoch; None for an app without a
            group.
        outputs: The topics to which it has committed outputs exactly once within a day.
    """

    subscriptions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    changed_at: float | None = None
    outputs: frozenset[str] = frozenset()

    @property
    def topics(self) -> frozenset[str]:
        """The topics to which a member subscribes."""
        return frozenset().union(*self.subscriptions.values())


@dataclass(frozen=True, slots=True)
class Topology:
    """All topics and apps of a namespace.

    Attributes:
        topics: The declaration of each topic.
        apps: The facts of each app.
        groups: The consumer groups that each topic has.
        writers: The apps that have sent to each topic within a day.
    """

    topics: Mapping[str, TopicFacts] = field(default_factory=dict)
    apps: Mapping[str, AppFacts] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    writers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def readers(self, topic: str) -> list[str]:
        """Return the apps that read a topic, or have read it and still have a group there."""
        subscribed = {name for name, app in self.apps.items() if topic in app.topics}
        return sorted(subscribed | self.groups.get(topic, frozenset()))

    def written_by(self, app: str) -> list[str]:
        """Return the topics that an app has sent to."""
        return sorted(topic for topic, writers in self.writers.items() if app in writers)

    def is_abandoned(self, app: str, topic: str) -> bool:
        """Return whether an app has members, none of which reads this topic any longer."""
        facts = self.apps.get(app)
        return facts is not None and bool(facts.topics) and topic not in facts.topics


def kind_of(name: str, facts: TopicFacts) -> TopicKind:
    """Return the kind of a topic."""
    if name.endswith(LEADER):
        return TopicKind.INTERNAL
    if name.startswith(REPLIES):
        return TopicKind.REPLIES
    if facts.compacting and name.endswith(CHANGELOG):
        return TopicKind.CHANGELOG
    if name.endswith(REPARTITION):
        return TopicKind.REPARTITION
    return TopicKind.QUEUE if facts.is_queue else TopicKind.LOG


def owner_of(topic: str, apps: Iterable[str]) -> str | None:
    """Return the app whose id begins the name of a changelog; the longest of several."""
    owners = [app for app in apps if app and topic.startswith(f"{app}-")]
    return max(owners, key=len, default=None)


def table_of(topic: str, owner: str | None) -> str:
    """Return the name of the table that a changelog belongs to."""
    name = topic.removesuffix(CHANGELOG)
    return name if owner is None else name.removeprefix(f"{owner}-")


def producer_app(producer: str) -> str | None:
    """Return the app that a producer's id names; None for one of a version that names none."""
    return producer.partition("@")[2] or None
