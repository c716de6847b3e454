"""The pieces of one answer as they come: each index once, in order, and together the answer."""

from __future__ import annotations

from parley.loadtest.faults import TokenFaults


class Pieces:
    """What came of an answer since its ``start``; ``begin``, ``add`` each piece, ``end``."""

    def __init__(self, faults: TokenFaults) -> None:
        """Take what faults are counted in."""
        self._faults = faults
        self._texts: list[str] | None = None
        self._next = 0
        self._left_out: set[int] = set()

    def begin(self) -> None:
        """Note a ``start``: what came so far is void."""
        self._texts, self._next, self._left_out = [], 0, set()

    def add(self, index: int, text: str) -> None:
        """Note a piece."""
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
        """Note the answer; one that came without a ``start``, as after a resume, has no pieces to compare."""
        self._faults.lost += len(self._left_out)
        if self._texts is not None and "".join(self._texts) != whole:
            self._faults.differing += 1
