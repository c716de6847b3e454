"""Check the pieces of one answer: each index once, in order, and together equal to the answer."""

from __future__ import annotations

from parley.loadtest.faults import TokenFaults


class Pieces:
    """The pieces of an answer since its ``start``; call ``begin``, ``add`` for each piece, then ``end``."""

    def __init__(self, faults: TokenFaults) -> None:
        """Take the counters of faults."""
        self._faults = faults
        self._texts: list[str] | None = None
        self._next = 0
        self._left_out: set[int] = set()

    def begin(self) -> None:
        """Record a ``start``, which makes all earlier pieces void."""
        self._texts, self._next, self._left_out = [], 0, set()

    def add(self, index: int, text: str) -> None:
        """Record a piece."""
        if self._texts is None:
            self._faults.lost += 1
            self.begin()
            self._next = index
        assert self._texts is not None  # noqa: S101
        if index >= self._next:
            self._left_out.update(range(self._next, index))
            self._next = index + 1
        elif index in self._left_out:
            self._left_out.remove(index)
            self._faults.misordered += 1
        else:
            self._faults.doubled += 1
            return
        self._texts.append(text)

    def end(self, whole: str) -> None:
        """Record the whole answer, and compare it with its pieces, unless it came without a ``start``."""
        self._faults.lost += len(self._left_out)
        if self._texts is not None and "".join(self._texts) != whole:
            self._faults.differing += 1
