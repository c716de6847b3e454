"""Read the answer from the payloads of the text generation protocol; no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yarl import URL

from pipeline.models.addresses import is_of_ollama
from pipeline.models.base import Usage
from pipeline.models.chat_fields import count_of
from pipeline.models.failures import bad_response, broke_off, empty_answer, empty_stream
from pipeline.models.thoughts import MARKERS

_OTHER_KIND = (
    "; is it a chat completions server, whose MODEL_URL ends in /v1? Then set MODEL_KIND=chat-completions"
)
_OLLAMA = "; for Ollama, MODEL_URL ends in /v1, not in /api/chat or /api/generate"


class GenerationReader:
    """Read the events of a generation, or a complete one; see ``endpoint.Reader``.

    Args:
        prompt: the prompt, which servers that ignore ``return_full_text`` repeat before the answer.
        url: the address of the server, for hints after a refusal.
    """

    thought = ""

    def __init__(self, prompt: str = "", url: URL | None = None) -> None:
        self.alive = False
        self.complete = False
        self.contradicted = False
        self.ended = False
        self.cut_short = False
        self.usage: Usage | None = None
        #: Whether the server sends its tokens as text-generation-inference does, which takes ``details``.
        self.has_details = False
        self._prompt = prompt
        self._url = url
        self._known = False
        self._has_other_payloads = False
        self._sections = False
        self._shown: list[str] = []
        # The text so far, while it may still be a repeated prompt.
        self._echo: str | None = "" if prompt else None

    def read(self, payload: object) -> str:
        """Return the text that a payload adds."""
        self.alive = False
        match payload:
            case {"token": {**token}, **rest} | [{"token": {**token}, **rest}]:
                return self._without_prompt(self._read_event(token, rest))
            case {"generated_text": str(text), **rest} | [{"generated_text": str(text), **rest}, *_]:
                self._note_reason(rest)
                return self._without_prompt(self._rest(text), last=True)
            case {"choices": _}:
                raise bad_response(f"The model server's response has no generated_text{_OTHER_KIND}")
            case {"done": _, "message": _} | {"done": _, "response": _}:
                raise bad_response(f"The model server's response has no generated_text{_OLLAMA}")
        self._has_other_payloads = True
        return ""

    def read_pieces(self, payloads: Iterator[object]) -> tuple[list[str], Iterator[object]]:
        """Return no text and all payloads: each holds more than a piece."""
        return [], payloads

    def done(self) -> None:
        """Record the end: ``[DONE]``, which some servers of this protocol send, or the reader's own stop."""
        self._known = self.complete = self.ended = True

    def check(self, *, empty: bool) -> None:
        """Raise unless the payloads make up a complete answer."""
        if not (self._known or self._has_other_payloads):
            raise empty_stream()
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
        """Return a hint on MODEL_URL or MODEL_KIND if a refusal suggests that one is wrong."""
        if self._url is not None and is_of_ollama(self._url):
            return _OLLAMA
        unknown_address = status in (404, 405) and "model" not in said.lower()
        return _OTHER_KIND if unknown_address or (status in (400, 422) and "messages" in said) else ""

    def _read_event(self, token: dict[Any, Any], event: dict[Any, Any]) -> str:
        self._known = self.alive = True
        self.has_details = self.has_details or ("logprob" in token and "id" in token)
        text = token.get("text")
        shown = text if isinstance(text, str) else ""
        if shown and token.get("special"):
            # Special tokens, such as the end of the text, are not part of the answer, except for the marks
            # that separate thoughts from it.
            mark = shown.strip().lower()
            self._sections = self._sections or mark in ("<|channel|>", "<|start|>")
            shown = shown if self._sections or mark in MARKERS else ""
        self._shown.append(shown)
        if shown:
            self.contradicted = self.contradicted or self.complete
        self._note_reason(event)
        match event:
            case {"generated_text": str(whole)}:
                return shown + self._rest(whole)
            case {"details": {"finish_reason": str()}}:
                self.complete = True
        return shown

    def _note_reason(self, event: dict[Any, Any]) -> None:
        """Record the reason for the end from the details of the last event."""
        match event.get("details"):
            case {"finish_reason": str(reason), **details}:
                self.cut_short = reason == "length"
                self.usage = _usage(details) or self.usage

    def _rest(self, whole: str) -> str:
        """Return the part of the final complete text that the tokens lack, mostly empty."""
        self._known = self.complete = True
        shown = "".join(self._shown)
        self._shown = [whole]
        if whole.startswith(shown):
            return whole[len(shown) :]
        # Some servers drop the space at its start, or put the prompt before it. For any other difference the
        # tokens count, because the user has seen them.
        whole, shown = whole.removeprefix(self._prompt).lstrip(), shown.lstrip()
        return whole[len(shown) :] if whole.startswith(shown) else ""

    def _without_prompt(self, text: str, *, last: bool = False) -> str:
        """Return ``text`` without a repeated prompt; hold it back while it may be one."""
        if self._echo is None:
            return text
        text = self._echo + text
        if not last and not self.complete and text != self._prompt and self._prompt.startswith(text):
            self._echo = text
            return ""
        self._echo = None
        return text.removeprefix(self._prompt)


def _usage(details: Mapping[Any, Any]) -> Usage | None:
    """Return the token counts in the details of an answer, None unless both are there."""
    received, sent = count_of(details, "generated_tokens"), count_of(details, "input_length", "prompt_tokens")
    prefill = details.get("prefill")
    if sent is None and isinstance(prefill, list) and prefill:
        sent = len(prefill)
    return None if sent is None or received is None else Usage(sent, received)
