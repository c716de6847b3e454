"""Decide whether a model's text is likely to begin within a thought; no I/O.

Chat templates of some reasoning models open the thought in the prompt, so their text begins within it and has
only the closing tag. A model's first answers show whether it is one of them; until then its name is the best
hint.
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
_NOT_THINKING = re.compile(r"no[n-]?[-_]?(?:thinking|reasoning)", re.IGNORECASE)


class ThoughtMemory:
    """Remember whether a model's text begins within a thought.

    Args:
        name: the model's name in the settings, None when the server has only one model.
    """

    def __init__(self, name: str | None) -> None:
        self._expected = name is not None and may_begin_in_thought(name)
        self._is_known = False

    @property
    def expected(self) -> bool:
        """Whether the next answer is expected to begin within a thought."""
        return self._expected

    def note_name(self, name: str) -> bool:
        """Return whether the model that a response names is expected to begin within a thought."""
        if not self._is_known:
            self._expected = self._expected or may_begin_in_thought(name)
        return self._expected

    def learn(self, found: bool | None) -> None:
        """Remember the finding of an answer; None is no finding."""
        if found is not None:
            self._expected, self._is_known = found, True


def may_begin_in_thought(name: str) -> bool:
    """Return whether the template of a model of this name may open the thought."""
    return bool(_NAME.search(name)) and not _NOT_THINKING.search(name)
