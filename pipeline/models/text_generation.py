"""A model behind the text generation protocol: a dedicated endpoint, or any server of its shape."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from pipeline.models.answer_text import AnswerText
from pipeline.models.base import HUMAN_PREFIX, ModelRequest
from pipeline.models.endpoint import Endpoint, Patience
from pipeline.models.failures import bad_response, broke_off, empty_answer

_HINT = "; is it a chat completions server? Then set MODEL_KIND=chat-completions"


class TextGeneration:
    """Answers by letting the server continue the prompt.

    Args:
        url: the address to post to.
        name: what to call the model; None means the address itself.
        token: the bearer token, None for a server that needs none.
        patience: how long the server may be silent.
        max_new_tokens: how long an answer may get, in the model's tokens.
        system_prompt: what comes before the prompt, on a line of its own; None for nothing.
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
    ) -> None:
        self._endpoint = Endpoint(url, token=token, patience=patience)
        self._max_new_tokens = max_new_tokens
        self._preamble = f"{system_prompt}\n" if system_prompt else ""
        # Up to where credentials may stand: no user, no query.
        self.name = name or f"{self._endpoint.url.host}{self._endpoint.url.path}".rstrip("/")

    def stream(self, request: ModelRequest) -> AsyncGenerator[str]:
        """Yield the generated text up to the first `Human:`, as it comes.

        Raises:
            ModelError: the server gave no usable answer, or only a part of one.
        """
        prompt = self._preamble + request.prompt
        payload = {
            "inputs": prompt,
            "parameters": {"max_new_tokens": self._max_new_tokens, "return_full_text": False},
            "options": {"use_cache": False},
            "stream": True,
        }
        # `Human:` is where the model starts to speak for the user. Servers that do not know
        # `return_full_text` send the prompt again, before the answer.
        text = AnswerText(stop=HUMAN_PREFIX, prompt=prompt)
        return self._endpoint.stream(payload, GenerationReader(prompt), text)

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._endpoint.close()


class GenerationReader:
    """Finds the answer in the events of a generation, or in a whole one; see `endpoint.Reader`.

    Args:
        prompt: what the server may send again, before the answer.
    """

    def __init__(self, prompt: str = "") -> None:
        self.alive = False
        self.complete = False
        self._prompt = prompt
        self._known = False
        self._shown: list[str] = []

    def read(self, payload: object) -> str:
        """Return the text that a payload adds."""
        self.alive = False
        match payload:
            case {"token": {**token}, **rest} | [{"token": {**token}, **rest}]:
                return self._read_event(token, rest)
            case {"generated_text": str(text)} | [{"generated_text": str(text)}, *_]:
                return self._rest(text)
            case {"choices": _}:
                raise bad_response(f"The model server's response has no generated_text{_HINT}")
        return ""

    def done(self) -> None:
        """Take note of `[DONE]`, which some servers of this protocol send too."""
        self._known = self.complete = True

    def check(self, *, empty: bool) -> None:
        """Say whether what came is an answer."""
        if not self._known:
            raise bad_response(
                "The model server's response has no generated_text; is it a text generation server "
                "(see MODEL_KIND)?"
            )
        if not self.complete:
            raise broke_off()
        if empty:
            raise empty_answer()

    def hint(self, status: int, said: str) -> str:
        """Return the words on MODEL_KIND if a refusal looks as if it were wrong."""
        unknown_address = status in (404, 405) and "model" not in said.lower()
        return _HINT if unknown_address or (status in (400, 422) and "messages" in said) else ""

    def _read_event(self, token: dict[Any, Any], event: dict[Any, Any]) -> str:
        self._known = self.alive = True
        text = token.get("text")
        # Special tokens, such as the one that ends the text, are not for people.
        shown = text if isinstance(text, str) and not token.get("special") else ""
        self._shown.append(shown)
        match event:
            case {"generated_text": str(whole)}:
                return shown + self._rest(whole)
            case {"details": {"finish_reason": str()}}:
                self.complete = True
        return shown

    def _rest(self, whole: str) -> str:
        """Return what the whole text at the end has beyond the tokens; mostly nothing."""
        self._known = self.complete = True
        shown = "".join(self._shown)
        if whole.startswith(shown):
            return whole[len(shown) :]
        # Some leave out the space at its start, or put the prompt before it. In other cases the tokens are
        # what the user has seen, so they are the answer.
        whole, shown = whole.removeprefix(self._prompt).lstrip(), shown.lstrip()
        return whole[len(shown) :] if whole.startswith(shown) else ""
