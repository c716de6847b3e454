"""Trim a model's output to the answer, piece by piece: no space around it, no text after its end."""

from __future__ import annotations

from pipeline.models.failures import endless

#: Maximum characters of an answer, and of white space within it: more than any model generates, so that a
#: server that never stops can't fill the history.
MAX_ANSWER_CHARS = 1_000_000
MAX_BLANK_CHARS = 10_000


class AnswerText:
    """Turn raw pieces into clean ones that add up to the answer; text that may still be cut is held back.

    Args:
        stop: the text that ends the answer, such as ``Human:``; None for the end of the stream.

    Attributes:
        stopped: whether ``stop`` came, so that more pieces change nothing.
    """

    def __init__(self, *, stop: str | None = None) -> None:
        self.stopped = False
        self._stop = stop
        self._held = ""
        self._length = 0
        self._begun = False

    def push(self, piece: str) -> str:
        """Return the text that now certainly belongs to the answer; it may be empty.

        Raises:
            ModelError: the answer is longer than any model's.
        """
        if self.stopped or not piece:
            return ""
        self._held += piece
        if not self._begun:
            self._held = self._held.lstrip()
        if self._stop is not None and (at := self._held.find(self._stop)) >= 0:
            self.stopped = True
            return self._release(len(self._held[:at].rstrip()))
        return self._release(self._certain())

    def finish(self) -> str:
        """Return the rest of the answer after the last piece."""
        if self.stopped:
            return ""
        text = self._held if self._begun else self._held.lstrip()
        self._held = text
        return self._release(len(text.rstrip()))

    @property
    def empty(self) -> bool:
        """Whether no text of the answer was returned so far."""
        return not self._begun

    def _certain(self) -> int:
        """Return the number of held characters that can't be cut any more."""
        end = len(self._held)
        if self._stop is not None:
            for length in range(min(len(self._stop) - 1, end), 0, -1):
                if self._held.endswith(self._stop[:length]):
                    end -= length
                    break
        # The second half of a character beyond the basic plane may come with the next piece.
        if end and "\ud800" <= self._held[end - 1] <= "\udbff":
            end -= 1
        return len(self._held[:end].rstrip())

    def _release(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        self._length += count
        if self._length > MAX_ANSWER_CHARS or len(self._held) > MAX_BLANK_CHARS:
            raise endless()
        self._begun = self._begun or bool(text)
        return mended(text)


def mended(text: str) -> str:
    """Join the halves of surrogate pairs; a half without its counterpart becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
