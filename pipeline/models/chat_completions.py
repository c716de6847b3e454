"""A model behind the chat completions protocol: the Hugging Face router, or any OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from yarl import URL

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.answer_text import AnswerText
from pipeline.models.base import BOT_PREFIX, HUMAN_PREFIX, ModelRequest
from pipeline.models.endpoint import Endpoint, Patience
from pipeline.models.failures import bad_response, broke_off, empty_answer

_HINT = "; is it a text generation server? Then set MODEL_KIND=text-generation"


class ChatCompletions:
    """Answers the conversation as a list of messages; the server applies the model's own template.

    Args:
        url: the server's address, ending in `/v1`, `/chat/completions`, or before both.
        model: the model's name there, None for a server that has only one. It is passed on as it is, with
            the provider that the router is to choose behind a colon, if there is one.
        token: the bearer token, None for a server that needs none.
        patience: how long the server may be silent.
        max_tokens: how long an answer may get, in the model's tokens; a reasoning model thinks from them too.
        system_prompt: what comes before the conversation, as the system's message; None for nothing.
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
    ) -> None:
        self._endpoint = Endpoint(completions_url(url), token=token, patience=patience)
        self._model = model
        self._max_tokens = max_tokens
        self._system = [{"role": "system", "content": system_prompt}] if system_prompt else []
        self.name = model or str(self._endpoint.url.host)

    def stream(self, request: ModelRequest) -> AsyncGenerator[str]:
        """Yield the message that the server adds to the conversation, as it comes.

        Raises:
            ModelError: the server gave no usable answer, or only a part of one.
        """
        payload: dict[str, object] = {
            "messages": self._system + [chat_message(message) for message in request.context],
            "max_tokens": self._max_tokens,
            "stream": True,
        }
        if self._model:
            payload["model"] = self._model
        return self._endpoint.stream(payload, ChatReader(), AnswerText())

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._endpoint.close()


class ChatReader:
    """Finds the answer in chunks of a completion, or in a whole one; see `endpoint.Reader`."""

    def __init__(self) -> None:
        self.alive = False
        self.complete = False
        self._known = False
        self._begun = False
        self._finish = ""

    def read(self, payload: object) -> str:
        """Return the text that a payload adds."""
        self.alive = False
        match payload:
            case {"choices": [{**choice}, *_]}:
                return self._read_choice(choice)
            case {"token": _} | {"generated_text": _} | [{"generated_text": _}, *_]:
                raise bad_response(f"The model server's response has no choices{_HINT}")
        # Chunks without a choice tell the usage, or what a filter found in the question.
        return ""

    def done(self) -> None:
        """Take note of `[DONE]`."""
        self._known = self.complete = True

    def check(self, *, empty: bool) -> None:
        """Say whether what came is an answer."""
        if not self._known:
            raise bad_response(
                "The model server's response has no choices; is it a chat completions server "
                "(see MODEL_KIND)?"
            )
        if self._finish == "content_filter":
            raise ModelError(
                ModelErrorCode.REJECTED, "The model server's content filter held the answer back", False
            )
        if self._finish == "error":
            raise ModelError(
                ModelErrorCode.ERROR, "The model failed while it generated the answer", retryable=True
            )
        if not self.complete:
            raise broke_off()
        if empty and self._finish == "length":
            # A reasoning model thinks first, from the same budget.
            raise bad_response(
                "The model used up its tokens before it answered (MAX_NEW_TOKENS is too small)"
            )
        if empty:
            raise empty_answer()

    def hint(self, status: int, said: str) -> str:
        """Return the words on MODEL_KIND if a refusal looks as if it were wrong."""
        unknown_address = status in (404, 405) and "model" not in said.lower()
        return _HINT if unknown_address or (status in (400, 422) and "inputs" in said) else ""

    def _read_choice(self, choice: dict[Any, Any]) -> str:
        whole = "delta" not in choice
        message = choice.get("message" if whole else "delta")
        if not isinstance(message, dict):
            if not isinstance(choice.get("finish_reason"), str):
                return ""
            message, whole = {}, False
        self._known = True
        text = _text(message.get("content")) or _text(message.get("refusal"))
        # A reasoning model's thoughts are not shown, but they show that it works.
        thoughts = message.get("reasoning_content") or message.get("reasoning") or message.get("tool_calls")
        self._begun = self._begun or bool(text or thoughts)
        # After the first of them an empty piece is a sign too: a token that is only half a character.
        self.alive = self._begun
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self._finish = reason
        self.complete = whole or bool(self._finish)
        return text


def completions_url(url: str) -> str:
    """Return the address to post to, whichever part of it was given."""
    parsed = URL(url)
    path = parsed.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return str(parsed.with_path(path, keep_query=True))


def chat_message(message: str) -> dict[str, str]:
    """Return a message of the history, `Human: …` or `Bot: …`, as the protocol's role and content."""
    if message.startswith(BOT_PREFIX):
        return {"role": "assistant", "content": message.removeprefix(BOT_PREFIX).strip()}
    return {"role": "user", "content": message.removeprefix(HUMAN_PREFIX).strip()}


def _text(content: object) -> str:
    """Return a message's text, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content if isinstance(content, str) else ""
