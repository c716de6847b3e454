"""A model behind the chat completions protocol: the Hugging Face router, or any OpenAI-compatible server."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from yarl import URL

from pipeline.errors import MessageRefusal, ModelError
from pipeline.models.addresses import completions_url
from pipeline.models.answer import Answer
from pipeline.models.base import AnswerPart, ModelRequest, Shortened
from pipeline.models.chat_reader import ChatReader
from pipeline.models.conversation import chat_messages, without_oldest
from pipeline.models.endpoint import Endpoint
from pipeline.models.request_shape import RequestShape, adaptation
from pipeline.models.silence import Patience

logger = logging.getLogger(__name__)

# Resends of one request for all reasons together: two names of the limit and no limit, no usage, no system
# role, a shorter context.
_MAX_RESENDS = 5


class ChatCompletions:
    """Sends the conversation as a list of messages; the server applies the model's own template.

    Args:
        url: the server's address, ending in `/v1`, `/chat/completions`, or before both.
        model: the model's name there, None for a server that has only one. It is passed on as it is, with
            the provider that the router is to choose behind a colon, if there is one.
        token: the bearer token, None for a server that needs none.
        patience: how long the server may be silent.
        max_tokens: how long an answer may get, in the model's tokens; a reasoning model thinks from them too.
        system_prompt: the system's message before the conversation; None for none.
        proxy: the proxy to go through, None for none.
    """

    kind = "chat-completions"

    def __init__(
        self,
        url: str,
        *,
        model: str | None,
        token: str | None,
        patience: Patience,
        max_tokens: int,
        system_prompt: str | None = None,
        proxy: URL | None = None,
    ) -> None:
        self._endpoint = Endpoint(completions_url(url), token=token, patience=patience, proxy=proxy)
        self._given_url = URL(url)
        self._model = model
        self._max_tokens = max_tokens
        self._system_prompt = system_prompt
        # Both are learned from the server, which is one model at one address.
        self._shape = RequestShape()
        self._unannounced_thoughts = False
        self.name = model or str(self._endpoint.url.host)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        """Yield the message that the server adds to the conversation, as it comes.

        Raises:
            ModelError: the server gave no usable answer, or only a part of one.
        """
        context: Sequence[str] = request.context
        shape, named = self._shape, True
        for resends in range(_MAX_RESENDS + 1):
            answer = Answer(unannounced_thoughts=self._unannounced_thoughts)
            begun = False
            try:
                async with aclosing(self._call(context, shape, answer)) as parts:
                    async for part in parts:
                        if not begun:
                            begun = True
                            if not named:
                                self._remember(shape)
                        yield part
            except ModelError as exc:
                if begun or resends == _MAX_RESENDS:
                    raise
                if exc.refusal is MessageRefusal.TOO_LONG:
                    shorter = without_oldest(context, exc.report) if context is request.context else None
                    if shorter is None:
                        raise
                    logger.info(
                        "too long for the model, sent again without its oldest messages: %s", exc.log_line
                    )
                    yield Shortened(len(context) - len(shorter))
                    context = shorter
                    continue
                change = adaptation(shape, exc, has_system=self._system_prompt is not None)
                if change is None:
                    raise
                logger.info("the request is sent again as %s, after: %s", change.shape, exc.log_line)
                shape, named = change
                if named:
                    self._remember(shape)
            else:
                if answer.found_unannounced_thoughts is not None:
                    self._unannounced_thoughts = answer.found_unannounced_thoughts
                return

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._endpoint.close()

    def _call(
        self, context: Sequence[str], shape: RequestShape, answer: Answer
    ) -> AsyncGenerator[AnswerPart]:
        payload: dict[str, object] = {
            "messages": chat_messages(context, self._system_prompt, fold_system=not shape.system_role),
            "stream": True,
        }
        if shape.limit is not None:
            payload[shape.limit] = self._max_tokens
        if shape.usage:
            payload["stream_options"] = {"include_usage": True}
        if self._model:
            payload["model"] = self._model
        return self._endpoint.stream(payload, ChatReader(self._given_url), answer)

    def _remember(self, shape: RequestShape) -> None:
        self._shape = shape
