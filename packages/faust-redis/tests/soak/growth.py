"""Early beside late: what has grown, and whether it may have."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.soak.samples import Sample

#: What a figure may grow by. A worker's memory moves by some MiB with the partitions it has just then, that
#: of Redis with its clients' buffers; the topics hold whatever is under way when a sample is taken.
ALLOWED = {
    "steady_kib": 5 * 1024,
    "other_kib": 5 * 1024,
    "steady_files": 2,
    "other_files": 2,
    "redis_kib": 2 * 1024,
    "keys": 4,
    "names": 0,
    "strangers": 0,
    "entries": 200,
    "pending": 200,
    "changes": 200,
}
#: A soak has so many windows. The first is its start, where caches fill; the second is held against the last.
WINDOWS = 6


@dataclass(frozen=True)
class Growth:
    """One figure over a whole soak.

    Attributes:
        early: The median after the start.
        late: The median at the end.
        most: The largest of all samples.
        allowed: By how much it may grow.
    """

    name: str
    early: int
    late: int
    most: int
    allowed: int

    @property
    def by(self) -> int:
        """How much there is more of it; negative when there is less."""
        return self.late - self.early

    @property
    def too_much(self) -> bool:
        """It has grown by more than it may."""
        return self.by > self.allowed

    def __str__(self) -> str:
        mark = "GROWN" if self.too_much else ""
        columns = (self.early, self.late, self.most, f"{self.by:+}", self.allowed, mark)
        return f"{self.name:<14}" + " ".join(f"{column:>9}" for column in columns)


HEADING = f"{'':<14}" + " ".join(f"{name:>9}" for name in ("early", "late", "most", "grown", "allowed"))


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Compare the second window of a soak with its last.

    Raises:
        ValueError: There are fewer samples than windows.
    """
    window = len(samples) // WINDOWS
    if not window:
        raise ValueError(f"{len(samples)} samples are too few to compare")
    early, late = samples[window : 2 * window], samples[-window:]
    return [
        Growth(name, _median(early, name), _median(late, name), _most(samples, name), allowed)
        for name, allowed in ALLOWED.items()
    ]


def _median(samples: Sequence[Sample], name: str) -> int:
    return int(statistics.median(getattr(sample, name) for sample in samples))


def _most(samples: Sequence[Sample], name: str) -> int:
    return max(int(getattr(sample, name)) for sample in samples)
