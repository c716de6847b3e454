"""What the rest of the service knows of a model: the question, and that the answer comes in pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

HUMAN_PREFIX = "Human:"
BOT_PREFIX = "Bot:"


@dataclass(frozen=True)
class ModelRequest:
    """One question to a model.

    Attributes:
        prompt: the text to continue, for text generation.
        context: the last messages, oldest first, each `Human: …` or `Bot: …`; the new one is the last.
    """

    prompt: str
    context: tuple[str, ...]


class ChatModel(Protocol):
    """Something that answers; one instance serves many requests at once in one event loop."""

    @property
    def name(self) -> str:
        """What to call it in logs and in the UI."""

    @property
    def kind(self) -> str:
        """The value of MODEL_KIND that chooses it."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[str]:
        """Yield the answer in non-empty pieces, as they come, which add up to it.

        The answer has no white space around it and is never empty. Iterate within `contextlib.aclosing`:
        closing the generator, like cancelling the task that iterates, closes the call to the server at once.

        Raises:
            ModelError: there is no answer, or the rest of it is missing (`partial`).
        """

    async def close(self) -> None:
        """Close the connections; may be called twice."""


async def whole_answer(model: ChatModel, request: ModelRequest) -> str:
    """Return the answer at once, after its last piece.

    Raises:
        ModelError: there is no whole answer.
    """
    async with aclosing(model.stream(request)) as pieces:
        return "".join([piece async for piece in pieces])
