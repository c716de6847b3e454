"""Decide whether a model's text is likely to begin within a thought; no I/O.

Chat templates of some reasoning models open the thought in the prompt, so their text begins within it and has
only the closing tag. A model's first answers show whether it is one of them; until then its name and the
words with which its text begins are the best hints.
"""

from __future__ import annotations

import re

# DeepSeek R1 and its distilled and merged models, QwQ, MiniMax M1 and M2, EXAONE Deep, and models that are
# called "thinking" or "reasoning". Models that open the thought themselves may be among them: an opening tag,
# or thoughts in a field of their own, show that at once.
_NAME = re.compile(
    r"(?<![a-z0-9])(?:r1|qwq|qvq|exaone-deep|minimax-m[12]|or1)(?![a-z0-9])|thinking|reasoner|reasoning",
    re.IGNORECASE,
)
# Words that begin thoughts, and hardly ever answers.
_STARTS = ("okay", "ok", "alright", "hmm", "well", "so", "first", "now")
_LINKS = (", ", ". ", " ", ", so ", ", so, ", " so ", " so, ")
_OF_USER = ("is ", "has ", "just ", "want", "ask", "say", "said", "sent ", "greet", "need", "seem")
_WORDS = (
    *(f"the user {verb}" for verb in _OF_USER),
    *(f"i need to {verb}" for verb in ("figure out ", "think ", "answer ", "respond ", "determine ")),
    *(f"we need to {verb}" for verb in ("figure out ", "answer ", "respond ", "produce ", "reply ")),
    *(f"let me {verb}" for verb in ("think", "figure ", "try to ")),
    "let's think",
)
_THOUGHTS = (
    *_WORDS,
    *(f"{start}{link}{words}" for start in _STARTS for link in _LINKS for words in _WORDS),
)
_THOUGHTS_IN_CHINESE = tuple(
    f"{start}{words}"
    for start in ("", "嗯，", "好的，", "好，", "首先，")  # noqa: RUF001
    for words in (*(f"用户{verb}" for verb in "问说想让发要给现希"), "我需要先", "我现在需要")
)
_NOT_THINKING = re.compile(r"no[n-]?[-_]?(?:thinking|reasoning)", re.IGNORECASE)


class ThoughtMemory:
    """Remember whether a model's text begins within a thought.

    Args:
        name: the model's name in the settings, None when the server has only one model.
    """

    def __init__(self, name: str | None) -> None:
        self._expected = name is not None and may_begin_in_thought(name)
        self._is_known = False
        self._has_answered = False

    @property
    def expectation(self) -> bool | None:
        """Whether the next answer begins within a thought; None: its words must show it.

        The words count only for a model that has not answered yet, since they may be those of an answer.
        """
        return None if not (self._expected or self._has_answered) else self._expected

    def note_name(self, name: str) -> bool:
        """Return whether the model that a response names is expected to begin within a thought."""
        if not self._is_known:
            self._expected = self._expected or may_begin_in_thought(name)
        return self._expected

    def learn(self, found: bool | None) -> None:
        """Remember the finding of a complete answer; None is no finding."""
        self._has_answered = True
        if found is not None:
            self._expected, self._is_known = found, True


def may_begin_in_thought(name: str) -> bool:
    """Return whether the template of a model of this name may open the thought."""
    return bool(_NAME.search(name)) and not _NOT_THINKING.search(name)


def begins_like_thought(text: str) -> bool | None:
    """Return whether a text, without leading white space, begins like a thought; None while unclear."""
    low = text.lower().replace("\u2019", "'")
    starts = _THOUGHTS if text.isascii() or "'" in low else _THOUGHTS_IN_CHINESE
    if low.startswith(starts):
        return True
    return None if any(start.startswith(low) for start in starts) else False
