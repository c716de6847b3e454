"""Assemble an answer from the text and thoughts that a reader finds."""

from __future__ import annotations

from pipeline.models.answer_text import AnswerText
from pipeline.models.base import AnswerPart, Retraction, Thought
from pipeline.models.thoughts import ThoughtFilter


class Answer:
    """Collect text and thoughts, and return the parts of the answer.

    Args:
        stop: the text that ends the answer, such as ``Human:``; None for the end of the stream.
        unannounced_thoughts: whether the model's text begins within a thought without an opening tag; None:
            if it has the words of a thought.
    """

    def __init__(self, *, stop: str | None = None, unannounced_thoughts: bool | None = False) -> None:
        self._stop = stop
        self._filter = ThoughtFilter(unannounced=unannounced_thoughts)
        self._text = AnswerText(stop=stop)
        self._parts: list[AnswerPart] = []
        self._taken = False

    @property
    def empty(self) -> bool:
        """Whether the answer has no text so far."""
        return self._text.empty

    @property
    def joins(self) -> bool:
        """Whether the next pieces of text may be added as one, because nothing depends on each of them."""
        return self._stop is None and not self._text.empty

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` came, so that more text changes nothing."""
        return self._text.stopped

    @property
    def found_unannounced_thoughts(self) -> bool | None:
        """Whether a thought began without an opening tag; None while unknown."""
        return self._filter.found_unannounced

    def expect_unannounced_thoughts(self) -> None:
        """Expect the text to begin within a thought; without effect once text has come."""
        self._filter.expect_unannounced()

    def add_thought(self, thought: str) -> None:
        """Add a thought from a separate field of the response."""
        self._filter.note_thought()
        self._append_thought(thought)

    def add_text(self, piece: str) -> None:
        """Add a piece of the text.

        Raises:
            ModelError: the answer is longer than any model's.
        """
        shown = self._filter.push(piece)
        if self._filter.thoughts or self._filter.retracted is not None:
            self._collect()
        if text := self._text.push(shown):
            self._append_text(text)

    def finish(self, *, cut_short: bool = False) -> None:
        """Add the text that was held back, after the last piece; ``cut_short`` if the model was not done."""
        rest = self._filter.finish(cut_short=cut_short)
        self._collect()
        for text in (self._text.push(rest), self._text.finish()):
            if text:
                self._append_text(text)

    def take(self) -> list[AnswerPart]:
        """Return the parts since the last call, with neighbours of one kind joined."""
        parts, self._parts = self._parts, []
        if parts and not self._taken:
            self._taken = any(isinstance(part, str) for part in parts)
        return parts

    def _collect(self) -> None:
        """Collect the filter's thoughts, and a retraction before them."""
        retracted, self._filter.retracted = self._filter.retracted, None
        if retracted is not None:
            self._parts = [part for part in self._parts if not isinstance(part, str)]
            self._text = AnswerText(stop=self._stop)
            if self._taken:
                self._parts.append(Retraction(retracted))
                self._taken = False
            elif retracted:
                self._append_thought(retracted)
        if self._filter.thoughts:
            self._append_thought("".join(self._filter.thoughts))
            self._filter.thoughts.clear()

    def _append_text(self, text: str) -> None:
        if self._parts and isinstance(last := self._parts[-1], str):
            self._parts[-1] = last + text
        else:
            self._parts.append(text)

    def _append_thought(self, thought: str) -> None:
        if self._parts and isinstance(last := self._parts[-1], Thought):
            self._parts[-1] = Thought(last.text + thought)
        else:
            self._parts.append(Thought(thought))
