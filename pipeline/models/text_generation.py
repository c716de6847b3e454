"""Call a model by the text generation protocol: a dedicated endpoint or any compatible server."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from yarl import URL

from pipeline.chat.prompts import build_prompt
from pipeline.errors import MessageRefusal, ModelError
from pipeline.models.answer import Answer
from pipeline.models.base import HUMAN_PREFIX, AnswerPart, ModelRequest, Shortened
from pipeline.models.conversation import without_oldest
from pipeline.models.endpoint import Endpoint
from pipeline.models.generation_reader import GenerationReader
from pipeline.models.reasoners import ThoughtMemory
from pipeline.models.refusals import room_for_answer
from pipeline.models.silence import Patience

logger = logging.getLogger(__name__)


class TextGeneration:
    """Send the prompt, which the server continues.

    Args:
        url: the URL to post to.
        name: the name of the model; None for the address itself.
        token: the bearer token, None for a server without authentication.
        patience: the limits on the server's silence.
        max_new_tokens: the maximum tokens of an answer.
        system_prompt: a line before the prompt, None for no line.
        proxy: the proxy to use, None for a direct connection.
    """

    kind = "text-generation"

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        token: str | None,
        patience: Patience,
        max_new_tokens: int,
        system_prompt: str | None = None,
        proxy: URL | None = None,
    ) -> None:
        self._endpoint = Endpoint(url, token=token, patience=patience, proxy=proxy)
        self._max_new_tokens = max_new_tokens
        self._preamble = f"{system_prompt}\n" if system_prompt else ""
        self._thoughts = ThoughtMemory(name)
        # Whether to request the details, which hold the token counts: not before an answer shows that the
        # server is text-generation-inference, as others refuse the parameter; not again after a refusal.
        self._details: bool | None = None
        # Without the user and the query, which may hold credentials.
        self.name = name or f"{self._endpoint.url.host}{self._endpoint.url.path}".rstrip("/")

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        """Yield the generated text up to the first ``Human:``, as it comes.

        Raises:
            ModelError: the server gave no usable answer, or only a part of one.
        """
        prompt, tokens = request.prompt, self._max_new_tokens
        while True:
            reader = GenerationReader(self._preamble + prompt, self._endpoint.url)
            # At ``Human:`` the model starts to write the user's next message.
            # The first words are no hint here: a model that continues a text may begin with any.
            answer = Answer(stop=HUMAN_PREFIX, unannounced_thoughts=bool(self._thoughts.expectation))
            begun = False
            try:
                async with aclosing(
                    self._call(request, self._preamble + prompt, tokens, reader, answer)
                ) as parts:
                    async for part in parts:
                        begun = True
                        yield part
            except ModelError as exc:
                if begun:
                    raise
                if exc.refusal is MessageRefusal.TOO_LONG and prompt is request.prompt:
                    shorter = without_oldest(request.context, exc.report)
                    if shorter is None:
                        raise
                    logger.info(
                        "too long for the model, sent again without its oldest messages: %s", exc.log_line
                    )
                    yield Shortened(len(request.context) - len(shorter))
                    prompt = build_prompt(shorter)
                    continue
                room = room_for_answer(exc.message)
                if room is None and self._details and exc.status in (400, 422):
                    self._details = False
                    logger.info("sent again without details, after: %s", exc.log_line)
                    continue
                if room is None or room >= tokens:
                    raise
                logger.info("sent again for an answer of %d tokens, after: %s", room, exc.log_line)
                tokens = room
            else:
                self._thoughts.learn(answer.found_unannounced_thoughts)
                if self._details is None and reader.has_details:
                    self._details = True
                return

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._endpoint.close()

    def _call(
        self, request: ModelRequest, prompt: str, tokens: int, reader: GenerationReader, answer: Answer
    ) -> AsyncGenerator[AnswerPart]:
        parameters: dict[str, object] = {"max_new_tokens": tokens, "return_full_text": False}
        if self._details:
            parameters["details"] = True
        payload = {
            "inputs": prompt,
            "parameters": parameters,
            "options": {"use_cache": False},
            "stream": True,
        }
        return self._endpoint.stream(payload, reader, answer, rest=request.rest)
