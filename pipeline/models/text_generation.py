"""A model behind the text generation protocol: a dedicated endpoint, or any server of its shape."""

from __future__ import annotations

from pipeline.models.base import JsonEndpoint, ModelRequest, bad_response, clean_answer


class TextGeneration:
    """Answers by letting the server continue the prompt.

    Args:
        url: the address to post to.
        name: what to call the model; None means the address itself.
        token: the bearer token, None for a server that needs none.
        timeout: seconds for one answer.
        max_new_tokens: how long an answer may get, in the model's tokens.
    """

    kind = "text-generation"

    def __init__(
        self, url: str, *, name: str | None = None, token: str | None, timeout: float, max_new_tokens: int
    ) -> None:
        self._endpoint = JsonEndpoint(url, token=token, timeout=timeout)
        self._max_new_tokens = max_new_tokens
        # Up to where credentials may stand: no user, no query.
        self.name = name or f"{self._endpoint.url.host}{self._endpoint.url.path}".rstrip("/")

    async def answer(self, request: ModelRequest) -> str:
        """Return the generated text up to the first `Human:`.

        Raises:
            ModelError: the server gave no usable answer.
        """
        payload = await self._endpoint.post(
            {
                "inputs": request.prompt,
                "parameters": {"max_new_tokens": self._max_new_tokens, "return_full_text": False},
                "options": {"use_cache": False},
            }
        )
        # Servers that do not know `return_full_text` send the prompt again, before the answer.
        answer = clean_answer(generated_text(payload).removeprefix(request.prompt))
        if not answer:
            raise bad_response("The model gave an empty answer", retryable=True)
        return answer

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._endpoint.close()


def generated_text(payload: object) -> str:
    """Return the text in a response, which is an object or a list of one.

    Raises:
        ModelError: it is neither.
    """
    match payload:
        case {"generated_text": str(text)} | [{"generated_text": str(text)}, *_]:
            return text
    raise bad_response("The model server's response has no generated_text; is it a text generation server?")
