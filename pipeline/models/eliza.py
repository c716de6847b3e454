"""Answer without an account or a network: ELIZA, the therapist of 1966, from nltk."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from nltk.chat.eliza import eliza_chatbot

from pipeline.models.base import HUMAN_PREFIX, AnswerPart, ModelRequest

#: Maximum characters of a message that ELIZA reads. Its patterns take more than linear time, on the event
#: loop; at this length an answer takes about a millisecond at worst.
MAX_TEXT = 500
FALLBACK = "Please tell me more."

# ELIZA inserts the user's words into a template by replacing ``%1``. A percent sign among those words would
# be replaced in turn, endlessly if a digit follows, so a character of the private use area replaces it
# meanwhile.
_PERCENT = "\ue025"


class Eliza:
    """Answer any message at once, from the last message alone."""

    kind = "eliza"
    name = "ELIZA"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        """Yield ELIZA's answer to the last message, word by word; it is never empty."""
        said = request.context[-1] if request.context else ""
        for word in re.findall(r"\s*\S+", respond(said.removeprefix(HUMAN_PREFIX))):
            yield word

    async def close(self) -> None:
        """Do nothing, because there is no connection."""


def respond(text: str) -> str:
    """Return ELIZA's answer to any ``text``."""
    line = " ".join(text[:MAX_TEXT].split()).rstrip("!.").replace("%", _PERCENT)
    if not line:
        return FALLBACK
    try:
        answer = eliza_chatbot.respond(line)
    except (LookupError, ValueError, TimeoutError):
        # The table of reflections lacks letters that match only without case, such as a long s.
        return FALLBACK
    return (answer or "").replace(_PERCENT, "%").strip() or FALLBACK
