"""The model that needs no account and no network: ELIZA, the therapist of 1966, from nltk."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from nltk.chat.eliza import eliza_chatbot

from pipeline.models.base import HUMAN_PREFIX, AnswerPart, ModelRequest

# Characters that ELIZA reads. Her patterns take longer than linear time on long text, and she answers on the
# event loop; at this length an answer takes about a millisecond at worst.
MAX_TEXT = 500
FALLBACK = "Please tell me more."

# ELIZA puts the user's words into a template by replacing `%1`; a percent sign among those words would be
# replaced in turn, for ever if a digit follows. A character of the private use area stands in for it.
_PERCENT = "\ue025"


class Eliza:
    """Answers anything at once, from the last message alone."""

    kind = "eliza"
    name = "ELIZA"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        """Yield ELIZA's answer to the last message, word by word; it is never empty."""
        said = request.context[-1] if request.context else ""
        for word in re.findall(r"\s*\S+", respond(said.removeprefix(HUMAN_PREFIX))):
            yield word

    async def close(self) -> None:
        """Do nothing: she holds nothing open."""


def respond(text: str) -> str:
    """Return ELIZA's answer to `text`, whatever it holds."""
    line = " ".join(text[:MAX_TEXT].split()).rstrip("!.").replace("%", _PERCENT)
    if not line:
        return FALLBACK
    try:
        answer = eliza_chatbot.respond(line)
    except (LookupError, ValueError, TimeoutError):
        # Her table of reflections misses letters that only match it when case is ignored, such as a long s.
        return FALLBACK
    return (answer or "").replace(_PERCENT, "%").strip() or FALLBACK
