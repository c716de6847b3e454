"""The events that the workers handled, read as they are written, and checked for errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_Pids = frozenset[int]


class Journal:
    """The file that the counters of `soaked` write, one line an event.

    Attributes:
        killed: Processes that were killed: what one of them had a hand in may come again.
        handled: Events, each counted once.
        again: Events that came again and were allowed to.
        doubled: Events that came again though nobody was killed who had them.
        misordered: Events that came for the first time after a later one of their key.
        gaps: Events whose counter's table did not hold the number before: an old table.
    """

    def __init__(self, file: Path) -> None:
        self.killed: set[int] = set()
        self.handled = 0
        self.again = 0
        self.doubled: list[str] = []
        self.misordered: list[str] = []
        self.gaps: list[str] = []
        self._file = file
        self._offset = 0
        # Per key, at the place of each number, who had it in hand. The sets are few and shared: an hour of
        # events takes some megabytes.
        self._hands: dict[str, list[_Pids]] = defaultdict(list)
        self._sets: dict[_Pids, _Pids] = {}

    def read(self) -> int:
        """Take in what was written since the last call; return how many events were handled so far."""
        if self._file.exists():
            with self._file.open("rb") as file:
                file.seek(self._offset)
                written = file.read()
            # A line that is being written may be seen in part.
            whole = written[: written.rfind(b"\n") + 1]
            self._offset += len(whole)
            for line in whole.splitlines():
                key, *numbers = line.split()
                number, forwarder, counter, last = map(int, numbers)
                self._note(key.decode(), number, frozenset((forwarder, counter)), last)
        return self.handled

    def lost(self, sent: Mapping[str, int]) -> list[str]:
        """Return the events that nobody has handled, of keys of which so many numbers were sent."""
        return [
            f"{key} {number}"
            for key, last in sent.items()
            for number in range(1, last + 1)
            if not self._had(key, number)
        ]

    def _note(self, key: str, number: int, pids: _Pids, last: int) -> None:
        hands = self._hands[key]
        had = self._had(key, number)
        if had:
            if had & self.killed:
                self.again += 1
            else:
                self.doubled.append(f"{key} {number}")
        else:
            self.handled += 1
            if number <= len(hands):
                self.misordered.append(f"{key} {number}")
            if last != number - 1:
                self.gaps.append(f"{key} {number} after {last}")
        hands.extend([frozenset()] * (number - len(hands)))
        both = had | pids
        hands[number - 1] = self._sets.setdefault(both, both)

    def _had(self, key: str, number: int) -> _Pids:
        hands = self._hands.get(key, [])
        return hands[number - 1] if number <= len(hands) else frozenset()
