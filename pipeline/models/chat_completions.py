"""A model behind the chat completions protocol: the Hugging Face router, or any OpenAI-compatible server."""

from __future__ import annotations

from yarl import URL

from pipeline.models.base import BOT_PREFIX, HUMAN_PREFIX, JsonEndpoint, ModelRequest, bad_response


class ChatCompletions:
    """Answers the conversation as a list of messages; the server applies the model's own template.

    Args:
        url: the server's address, ending in `/v1`, `/chat/completions`, or before both.
        model: the model's name there, None for a server that has only one.
        token: the bearer token, None for a server that needs none.
        timeout: seconds for one answer.
        max_tokens: how long an answer may get, in the model's tokens.
    """

    kind = "chat-completions"

    def __init__(
        self, url: str, *, model: str | None, token: str | None, timeout: float, max_tokens: int
    ) -> None:
        self._endpoint = JsonEndpoint(completions_url(url), token=token, timeout=timeout)
        self._model = model
        self._max_tokens = max_tokens
        self.name = model or str(self._endpoint.url.host)

    async def answer(self, request: ModelRequest) -> str:
        """Return the message that the server adds to the conversation.

        Raises:
            ModelError: the server gave no usable answer.
        """
        payload: dict[str, object] = {
            "messages": [chat_message(message) for message in request.context],
            "max_tokens": self._max_tokens,
            "stream": False,
        }
        if self._model:
            payload["model"] = self._model
        return completion_text(await self._endpoint.post(payload))

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._endpoint.close()


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


def completion_text(payload: object) -> str:
    """Return the text of a completion.

    Raises:
        ModelError: there is none.
    """
    match payload:
        case {"choices": [{"message": {"content": str(text)}}, *_]} if text.strip():
            return text.strip()
        case {"choices": [{"finish_reason": "length"}, *_]}:
            # A reasoning model thinks first, from the same budget.
            raise bad_response(
                "The model used up its tokens before it answered (MAX_NEW_TOKENS is too small)"
            )
        case {"choices": [{"message": {"content": str() | None}}, *_]}:
            raise bad_response("The model gave an empty answer", retryable=True)
    raise bad_response("The model server's response has no choices; is it a chat completions server?")
