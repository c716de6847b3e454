"""Call a model by the chat completions protocol: Hugging Face's router or any OpenAI-compatible server."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from yarl import URL

from pipeline.errors import MessageRefusal, ModelError
from pipeline.models.addresses import completions_url
from pipeline.models.answer import Answer
from pipeline.models.base import AnswerPart, ModelRequest, Shortened
from pipeline.models.chat_reader import ChatReader
from pipeline.models.conversation import chat_messages, without_oldest
from pipeline.models.endpoint import Endpoint
from pipeline.models.reasoners import ThoughtMemory
from pipeline.models.refusals import sizes_of
from pipeline.models.request_shape import RequestShape, ShapeMemory, adaptation
from pipeline.models.silence import Patience

logger = logging.getLogger(__name__)

# Characters of a token in most languages and tokenizers.
_CHARS_PER_TOKEN = 4
# Maximum resends of one request for all reasons together: two names of the limit and no limit, no usage, no
# stream, no system role, a shorter context.
_MAX_RESENDS = 6


class ChatCompletions:
    """Send the conversation as a list of messages, to which the server applies the model's own template.

    Args:
        url: the server's address, ending in ``/v1``, ``/chat/completions``, or before both.
        model: the model's name on the server, None for a server with only one model. It is sent unchanged,
            including a provider for the router after a colon.
        token: the bearer token, None for a server without authentication.
        patience: the limits on the server's silence.
        max_tokens: the maximum tokens of an answer, including a reasoning model's thoughts.
        system_prompt: the system message before the conversation; None for no message.
        proxy: the proxy to use, None for a direct connection.
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
        # Both are learned from the responses, because they depend on the server and its model.
        self._memory = ShapeMemory()
        self._thoughts = ThoughtMemory(model)
        self.name = model or str(self._endpoint.url.host)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        """Yield the parts of the server's answer as they come.

        Raises:
            ModelError: the server gave no usable answer, or only a part of one.
        """
        try:
            await self._memory.enter(request)
            plan = _Plan(request.context, self._memory.shape)
            while True:
                answer = Answer(unannounced_thoughts=self._thoughts.expectation)
                begun = False
                try:
                    async with aclosing(self._call(request, plan, answer)) as parts:
                        async for part in parts:
                            if not begun:
                                begun = True
                                if plan.resends:
                                    self._memory.shape = plan.shape
                            yield part
                except ModelError as exc:
                    following = None if begun else self._after(plan, exc)
                    if following is None:
                        raise
                    logger.info("sent again as %s, after: %s", following.shape, exc.log_line)
                    if dropped := len(plan.context) - len(following.context):
                        yield Shortened(dropped)
                    plan = following
                else:
                    self._thoughts.learn(answer.found_unannounced_thoughts)
                    return
        finally:
            self._memory.leave(request)

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._endpoint.close()

    def _after(self, plan: _Plan, failure: ModelError) -> _Plan | None:
        """Return the plan for resending a refused request, None when a resend would not help."""
        if plan.resends == _MAX_RESENDS:
            return None
        if failure.refusal is MessageRefusal.TOO_LONG:
            if plan.shape.limit is not None and self._is_limit_too_high(plan.context, failure):
                return _Plan(plan.context, replace(plan.shape, limit=None), plan.resends + 1, plan.shortened)
            shorter = None if plan.shortened else without_oldest(plan.context, failure.report)
            return None if shorter is None else _Plan(shorter, plan.shape, plan.resends + 1, shortened=True)
        change = adaptation(plan.shape, failure, has_system=self._system_prompt is not None)
        if change is None:
            return None
        if change.named:
            self._memory.shape = change.shape
        return _Plan(plan.context, change.shape, plan.resends + 1, plan.shortened)

    def _is_limit_too_high(self, context: Sequence[str], failure: ModelError) -> bool:
        """Return whether the tokens reserved for the answer fill the model's context, not the messages."""
        sizes = sizes_of(failure.report)
        if sizes is not None and sizes.size - self._max_tokens >= sizes.limit:
            return False
        return sum(map(len, context)) / _CHARS_PER_TOKEN < self._max_tokens

    def _call(self, request: ModelRequest, plan: _Plan, answer: Answer) -> AsyncGenerator[AnswerPart]:
        shape = plan.shape
        fold = not shape.system_role
        payload: dict[str, object] = {
            "messages": chat_messages(plan.context, self._system_prompt, fold_system=fold),
            "stream": shape.stream,
        }
        if shape.limit is not None:
            payload[shape.limit] = self._max_tokens
        if shape.stream and shape.usage:
            payload["stream_options"] = {"include_usage": True}
        if self._model:
            payload["model"] = self._model
        taken = partial(self._memory.leave, request, taken=True)
        reader = ChatReader(self._given_url, partial(self._note_model, answer))
        return self._endpoint.stream(payload, reader, answer, taken, request.rest)

    def _note_model(self, answer: Answer, name: str) -> None:
        if self._thoughts.note_name(name):
            answer.expect_unannounced_thoughts()


@dataclass(frozen=True)
class _Plan:
    """The shape and context of one try of a request.

    Attributes:
        resends: the number of earlier refusals.
        shortened: whether the oldest messages were left out.
    """

    context: Sequence[str]
    shape: RequestShape
    resends: int = 0
    shortened: bool = False
