"""Define the interface of a model: one request in, the parts of its answer out."""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

HUMAN_PREFIX = "Human:"
BOT_PREFIX = "Bot:"


def read_at_once() -> Future[None] | None:
    """Return None, to read the answer without a rest."""
    return None


@dataclass(frozen=True)
class ModelRequest:
    """One request to a model.

    Attributes:
        prompt: the text to continue, for text generation; ``pipeline.chat.prompts`` builds it from
            ``context``.
        context: the last messages, oldest first, each ``Human: …`` or ``Bot: …``; the new one is the last.
        rest: called before each read of the answer; returns a future to await before it, or None.
    """

    prompt: str
    context: tuple[str, ...]
    rest: Callable[[], Future[None] | None] = field(default=read_at_once, compare=False)


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of a reasoning model's thoughts, which are not part of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Retraction:
    """All text so far was a thought, revealed only by its closing tag; the answer begins after this part.

    Attributes:
        thought: the retracted text.
    """

    thought: str


@dataclass(frozen=True, slots=True)
class Shortened:
    """The request was too long for the model, and was sent again without its oldest messages.

    Attributes:
        dropped: the number of messages left out.
    """

    dropped: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The token counts of one call, as the model server reports them; at most once, as the last part."""

    input_tokens: int
    output_tokens: int


AnswerPart = str | Thought | Retraction | Shortened | Usage
"""One part of an answer; a ``str`` is a piece of its text."""


class ChatModel(Protocol):
    """A model; one instance serves many requests at once in one event loop."""

    @property
    def name(self) -> str:
        """The name of the model in logs, metrics and the UI."""

    @property
    def kind(self) -> str:
        """The value of MODEL_KIND that selects this model."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        """Yield the answer's parts as they come; the texts since the last ``Retraction`` make up the answer.

        No text is empty; the complete answer has no white space around it and is never empty. Iterate within
        ``contextlib.aclosing``: closing the generator, or cancelling the task that iterates, ends the call to
        the server at once.

        Raises:
            ModelError: there is no answer, or the rest of it is missing (``partial``).
        """

    async def close(self) -> None:
        """Close the connections; may be called twice."""


async def whole_answer(model: ChatModel, request: ModelRequest) -> str:
    """Return the complete answer without thoughts.

    Raises:
        ModelError: there is no complete answer.
    """
    pieces: list[str] = []
    async with aclosing(model.stream(request)) as parts:
        async for part in parts:
            if isinstance(part, str):
                pieces.append(part)
            elif isinstance(part, Retraction):
                pieces.clear()
    return "".join(pieces)
