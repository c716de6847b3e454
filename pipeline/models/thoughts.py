"""Separate a reasoning model's thoughts from its answer when both come as one text; no I/O.

    START ──opening tag──▶ THOUGHT ──closing tag──▶ START
      │                                               │
      └──any other text──▶ ANSWER ◀──any other text───┘

Tags count only before the answer's first text: an answer that contains ``<think>`` later stays unchanged.

A chat template that opens the thought in the prompt makes the model send only the closing tag. If that is
expected (``unannounced``), the text counts as a thought until the tag comes. Otherwise this shows only
afterwards: by the words with which the text begins, or by the tag, unless it is in code or follows an opening
tag. The text so far is then retracted.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

from pipeline.models.reasoners import begins_like_thought


class _Tag(NamedTuple):
    """The text that opens thoughts, and the text that closes them."""

    opening: str
    closing: str


_TAGS = (
    *(
        _Tag(f"<{name}>", f"</{name}>")
        for name in (
            "think",
            "thinking",
            "thought",
            "thoughts",
            "reasoning",
            "reflection",
            "scratchpad",
            "seed:think",
            "mm:think",
            "longcat_think",
            "antthinking",
            "ant:thinking",
            "inner_monologue",
            "internal_monologue",
            "inner_thoughts",
            "thought_process",
            "thinking_process",
        )
    ),
    _Tag("[think]", "[/think]"),
    _Tag("[thinking]", "[/thinking]"),
    _Tag("<|think|>", "<|/think|>"),
    _Tag("<|thinking|>", "<|/thinking|>"),
    _Tag("<|begin_of_thought|>", "<|end_of_thought|>"),
    _Tag("<|begin_of_thinking|>", "<|end_of_thinking|>"),
    _Tag("<|start_thinking|>", "<|end_thinking|>"),
    _Tag("<|inner_prefix|>", "<|inner_suffix|>"),
    _Tag("<unused94>thought", "<unused95>"),
    _Tag("<|channel>thought", "<channel|>"),
    # Gateways for pages that fold such an element away.
    _Tag('<details type="reasoning"', "</details>"),
    _Tag("◁think▷", "◁/think▷"),
)
# Tags around the answer in the formats that also tag thoughts.
_ANSWER_TAGS = (
    _Tag("<|begin_of_solution|>", "<|end_of_solution|>"),
    _Tag("<|start_response|>", "<|end_response|>"),
    *(_Tag(f"<{name}>", f"</{name}>") for name in ("answer", "response", "final_answer", "solution")),
)
# The raw format of gpt-oss: ``<|start|>assistant<|channel|>NAME<|message|>TEXT<|end|>``, with the answer in
# the channel ``final``.
_HEADERS = ("<|start|>", "<|channel|>")
_HEADER_END = "<|message|>"
_MAX_HEADER_CHARS = 200
# The same format where a server drops special tokens: ``analysisWe need …assistantfinalHello``.
_BARE_HEADER = "analysis"
_BARE_END = "assistantfinal"
_SECTION_ENDS = ("<|end|>", "<|return|>", "<|call|>", *_HEADERS)

_TAG_OPENINGS = tuple(tag.opening for tag in _TAGS)
_OPENINGS = (*_TAG_OPENINGS, *_HEADERS)
# Closing tags that may come without an opening one; ``</details>`` is common in answers.
_CLOSINGS = tuple(tag.closing for tag in _TAGS if tag.closing != "</details>")
_LONGEST_OPENING = max(map(len, (*_OPENINGS, *(tag.opening for tag in _ANSWER_TAGS))))
_ANY_OPENING = re.compile("|".join(re.escape(tag.opening) for tag in _TAGS), re.IGNORECASE)
# All texts that may become a mark which opens a thought or, after a thought, the answer.
_BEGUN_OPENINGS = frozenset(mark[:end] for mark in _OPENINGS for end in range(len(mark)))
_BEGUN_ANSWER_TAGS = frozenset(tag.opening[:end] for tag in _ANSWER_TAGS for end in range(len(tag.opening)))
_FIRST_CHARACTERS = frozenset((*(mark[0] for mark in _OPENINGS), _BARE_HEADER[0]))
# Maximum white space before an answer that is held back.
_MAX_BLANK_CHARS = 10_000

#: Special tokens that must reach the filter, although special tokens are otherwise not part of an answer.
MARKERS = frozenset((*_OPENINGS, *_CLOSINGS, _HEADER_END, *_SECTION_ENDS)) - {"<|end|>", "<|return|>"}


class _Mode(Enum):
    START = auto()
    HEADER = auto()
    THOUGHT = auto()
    ANSWER = auto()


class ThoughtFilter:
    """Take a model's text in pieces, return the answer's text and collect the thoughts.

    Args:
        unannounced: whether the text begins within a thought without an opening tag; None: if it has the
            words of a thought.

    Attributes:
        thoughts: pieces of thoughts, which the caller removes.
        retracted: the complete text so far if it turned out to be a thought; the caller resets it to None.
        found_unannounced: whether a thought began without an opening tag; None while unknown.
    """

    def __init__(self, *, unannounced: bool | None = False) -> None:
        self.thoughts: list[str] = []
        self.retracted: str | None = None
        self.found_unannounced: bool | None = None
        self._mode = _Mode.START
        self._unannounced = bool(unannounced)
        self._guessing = unannounced is None
        self._bare = False
        self._closings: tuple[str, ...] = _CLOSINGS
        self._held = ""
        self._had_thought = False
        self._thought_begun = False
        self._unannounced_text: list[str] = []
        # The answer's text that a closing tag may still retract, and the marks that end the answer's section.
        self._returned: list[str] = []
        self._watched: tuple[str, ...] = ()
        self._section = False

    def push(self, piece: str) -> str:
        """Return the text that ``piece`` certainly adds to the answer; it may be empty."""
        if self._mode is _Mode.ANSWER and not self._held:
            if not self._watched:
                return piece
            if not _may_close(piece):
                return self._show(piece)
        text, self._held = self._held + piece, ""
        shown = ""
        while text:
            match self._mode:
                case _Mode.START:
                    text = self._start(text)
                case _Mode.HEADER:
                    text = self._header(text)
                case _Mode.THOUGHT:
                    text = self._thought(text)
                case _Mode.ANSWER:
                    more, text = self._answer(text)
                    shown = shown + more if self.retracted is None else more
        return shown

    def finish(self, *, cut_short: bool = False) -> str:
        """Return the rest of the answer after the last piece: the held text, unless it is a thought.

        Args:
            cut_short: whether the model reached its token limit before it was done.
        """
        held, self._held = self._held, ""
        if self._mode is _Mode.THOUGHT:
            self._add_thought(held)
            if (self._unannounced or self._bare) and not cut_short:
                # Without a closing tag the model had no thoughts this time, and all text is the answer.
                self.found_unannounced = False if self._unannounced else None
                return "".join(self._unannounced_text)
            return ""
        return "" if self._mode is _Mode.HEADER else held

    def note_thought(self) -> None:
        """Record that thoughts came in a separate field, so that a closing tag is plain text."""
        self._had_thought = True
        if self._unannounced:
            # Text that came before counts as a thought now, too.
            self._unannounced, self.found_unannounced = False, False
            self._unannounced_text.clear()
            if self._mode is _Mode.THOUGHT:
                self._mode, self._thought_begun = _Mode.START, False
        if self._mode is _Mode.ANSWER and not self._section:
            self._watched = ()

    def expect_unannounced(self) -> None:
        """Expect a thought without an opening tag; without effect once text has come."""
        if self._mode is _Mode.START and not (self._held or self._had_thought):
            self._unannounced = True

    def _start(self, text: str) -> str:
        stripped = text.lstrip()
        if stripped and stripped[0] not in _FIRST_CHARACTERS:
            return self._begin_text(text)
        low = stripped[:_LONGEST_OPENING].lower()
        answer_tags = _ANSWER_TAGS if self._had_thought else ()
        if low.startswith(_TAG_OPENINGS):
            opened = next(tag for tag in _TAGS if low.startswith(tag.opening))
            self._mode, self._closings, self._unannounced = _Mode.THOUGHT, (opened.closing,), False
            return stripped[len(opened.opening) :]
        if tag := next((tag for tag in answer_tags if low.startswith(tag.opening)), None):
            self._mode, self._section, self._watched = _Mode.ANSWER, True, (tag.closing,)
            return stripped[len(tag.opening) :]
        if _is_bare_header(stripped):
            self._mode, self._closings, self._bare = _Mode.THOUGHT, (_BARE_END,), True
            self._unannounced_text.append(stripped[: len(_BARE_HEADER)])
            return stripped[len(_BARE_HEADER) :]
        if low.startswith(_HEADERS):
            self._mode, self._unannounced = _Mode.HEADER, False
            return stripped
        if len(text) < _MAX_BLANK_CHARS and self._may_open(stripped, low):
            self._held = text
            return ""
        return self._begin_text(text)

    def _begin_text(self, text: str) -> str:
        """Take ``text`` as the answer's beginning or, if that is expected, as a thought's."""
        if self._unannounced:
            self._mode = _Mode.THOUGHT
            return text
        self._mode = _Mode.ANSWER
        if not self._section:
            self._watched = () if self._had_thought else _CLOSINGS
        return text

    def _show(self, shown: str) -> str:
        """Return ``shown``; while guessing, retract the text so far once it has the words of a thought."""
        self._returned.append(shown)
        if not self._guessing:
            return shown
        text = "".join(self._returned).lstrip()
        found = None if self._section else begins_like_thought(text)
        if not found:
            self._guessing = found is None
            return shown
        self._guessing, self._unannounced = False, True
        self._mode, self._thought_begun = _Mode.THOUGHT, True
        self.retracted = text
        self._returned.clear()
        self._unannounced_text.append(text)
        return ""

    def _may_open(self, stripped: str, low: str) -> bool:
        """Return whether the text may be the beginning of a mark that opens a thought or the answer."""
        if low in _BEGUN_OPENINGS or (self._had_thought and low in _BEGUN_ANSWER_TAGS):
            return True
        return bool(low) and _BARE_HEADER.startswith(stripped)

    def _header(self, text: str) -> str:
        header, found, rest = text.partition(_HEADER_END)
        if not found:
            if len(text) > _MAX_HEADER_CHARS:
                self._mode, self._watched = _Mode.ANSWER, ()
                return text
            self._held = text
            return ""
        channel = header.rpartition("<|channel|>")[2].strip()
        self._section = True
        if channel.startswith("final") or "<|channel|>" not in header:
            self._mode, self._watched = _Mode.ANSWER, _SECTION_ENDS
        else:
            self._mode, self._closings = _Mode.THOUGHT, _SECTION_ENDS
        return rest

    def _thought(self, text: str) -> str:
        at, closing = _first(text, self._closings)
        if closing:
            self._add_thought(text[:at])
            self._had_thought = True
            if self._unannounced:
                self._unannounced, self.found_unannounced = False, True
            self._bare = False
            self._unannounced_text.clear()
            self._mode, self._thought_begun = _Mode.START, False
            return text[at:] if closing in _HEADERS else text[at + len(closing) :]
        keep = _undecided(text, self._closings)
        self._add_thought(text[: len(text) - keep])
        self._held = text[len(text) - keep :]
        return ""

    def _add_thought(self, text: str) -> None:
        if not self._thought_begun:
            text = text.lstrip()
        if text:
            self._thought_begun = True
            self.thoughts.append(text)
            if self._unannounced or self._bare:
                self._unannounced_text.append(text)

    def _answer(self, text: str) -> tuple[str, str]:
        """Split ``text`` into the answer's part and the rest, which belongs to another mode."""
        if not self._watched:
            return text, ""
        if not _may_close(text):
            return self._show(text), ""
        at, mark = _first(text, self._watched)
        if not mark:
            keep = _undecided(text, self._watched)
            shown, self._held = text[: len(text) - keep], text[len(text) - keep :]
            return self._show(shown), ""
        if self._section:
            self._mode = _Mode.START
            return text[:at], text[at:] if mark in _HEADERS else text[at + len(mark) :]
        before = "".join(self._returned) + text[:at]
        if _ANY_OPENING.search(before):
            # An opening tag within the answer shows that the answer is about such tags.
            self._watched = ()
            return text, ""
        end = at + len(mark)
        if _in_code(before):
            self._returned.append(text[:end])
            more, rest = self._answer(text[end:])
            return (text[:end] + more if self.retracted is None else more), rest
        self._mode, self._had_thought = _Mode.START, True
        self.retracted, self.found_unannounced = before.strip(), True
        self._returned.clear()
        return "", text[end:]


def _may_close(text: str) -> bool:
    """Return whether ``text`` has a first character of the marks that end a thought or a section."""
    return "<" in text or "[" in text or "◁" in text


def _is_bare_header(text: str) -> bool:
    return text.startswith(_BARE_HEADER) and text[len(_BARE_HEADER) : len(_BARE_HEADER) + 1].isupper()


def _first(text: str, marks: tuple[str, ...]) -> tuple[int, str]:
    """Return the position of the first mark in ``text`` and the mark, -1 and "" without a mark."""
    found = _any_of(marks).search(_lower(text))
    return (-1, "") if found is None else (found.start(), found[0])


@cache
def _any_of(marks: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(marks))))


def _lower(text: str) -> str:
    """Return ``text`` in lower case with every character at its position."""
    if text.isascii():
        return text.lower()
    # Some letters have a lower case of two characters, which would shift the rest of the text.
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def _undecided(text: str, marks: tuple[str, ...]) -> int:
    """Return the number of characters at the end of ``text`` that may begin a mark."""
    begun, longest = _begun(marks)
    tail = _lower(text[1 - longest :])
    for start, character in enumerate(tail):
        if character in begun and tail[start:] in begun:
            return len(tail) - start
    return 0


@cache
def _begun(marks: tuple[str, ...]) -> tuple[frozenset[str], int]:
    """Return all beginnings of marks, each shorter than its mark, and the length of the longest mark."""
    begun = frozenset(mark[:end] for mark in marks for end in range(1, len(mark)))
    return begun, max(map(len, marks))


def _in_code(before: str) -> bool:
    """Return whether the text after ``before`` is in a code span or code block of Markdown."""
    if len(re.findall(r"^[ >]*(?:```|~~~)", before, re.MULTILINE)) % 2:
        return True
    line = before.rpartition("\n")[2]
    return line.count("`") % 2 == 1
