"""Read the answer from the payloads of the chat completions protocol; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yarl import URL

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.addresses import is_of_ollama
from pipeline.models.base import Usage
from pipeline.models.error_bodies import whole_text
from pipeline.models.failures import bad_response, broke_off, empty_answer
from pipeline.models.server_text import clean_server_text

_OTHER_KIND = "; is it a text generation server? Then set MODEL_KIND=text-generation"
_OLLAMA = "; for Ollama, MODEL_URL ends in /v1, not in /api/chat or /api/generate"

# The fields in which servers send a reasoning model's thoughts.
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks", "thoughts")
_RARE_FIELDS = frozenset((*_THOUGHTS, "tool_calls", "function_call"))
_FAILED = frozenset({"content_filter", "error"})
# Values that mean no reason: some servers write its absence as a word.
_NO_REASONS = frozenset({"", "null", "none", "None", "undefined"})


class ChatReader:
    """Read the chunks of a completion, or a complete one; see ``endpoint.Reader``.

    Args:
        url: the address of the server, for hints after a refusal.
    """

    def __init__(self, url: URL | None = None) -> None:
        self.alive = False
        self.complete = False
        self.contradicted = False
        self.ended = False
        self.thought = ""
        self.usage: Usage | None = None
        self._url = url
        self._known = False
        self._begun = False
        self._has_text = False
        self._called_tools = False
        self._finish = ""
        self._choice_error: object = None

    @property
    def cut_short(self) -> bool:
        """Whether the model used up its tokens."""
        return self._finish == "length"

    def read(self, payload: object) -> str:
        """Return the text that a payload adds."""
        self.alive = False
        self.thought = ""
        if not isinstance(payload, dict):
            if isinstance(payload, list) and payload and isinstance(payload[0], dict):
                return self.read(payload[0]) if "choices" in payload[0] else self._foreign(payload[0])
            return ""
        if "usage" in payload or "x_groq" in payload:
            self.usage = _usage(payload) or self.usage
        choices = payload.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return self._read_choice(choices[0])
        # Chunks without a choice hold the usage, or a content filter's verdict on the question.
        return "" if "choices" in payload else self._foreign(payload)

    def done(self) -> None:
        """Record the end of the stream."""
        self._known = self.complete = self.ended = True

    def check(self, *, empty: bool) -> None:
        """Raise unless the payloads make up a complete answer."""
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
            said = clean_server_text(whole_text({"error": self._choice_error})) if self._choice_error else ""
            detail = "The model failed while it generated the answer"
            raise ModelError(ModelErrorCode.ERROR, detail, retryable=True, report=said)
        if not self.complete:
            raise broke_off()
        if not empty:
            return
        if self.cut_short:
            # A reasoning model's thoughts come first, from the same budget.
            raise bad_response(
                "The model used up its tokens before it answered (MAX_NEW_TOKENS is too small)"
            )
        if self._called_tools:
            raise bad_response("The model asked for a tool instead of answering; this service offers none")
        raise empty_answer()

    def hint(self, status: int, said: str) -> str:
        """Return a hint on MODEL_URL or MODEL_KIND if a refusal suggests that one is wrong."""
        if self._url is not None and is_of_ollama(self._url):
            return _OLLAMA
        unknown_address = status in (404, 405) and "model" not in said.lower()
        return _OTHER_KIND if unknown_address or (status in (400, 422) and "inputs" in said) else ""

    def _foreign(self, payload: dict[Any, Any]) -> str:
        """Raise if a payload belongs to another protocol."""
        if "token" in payload or "generated_text" in payload:
            raise bad_response(f"The model server's response has no choices{_OTHER_KIND}")
        if "done" in payload and ("message" in payload or "response" in payload):
            raise bad_response(f"The model server's response has no choices{_OLLAMA}")
        return ""

    def _read_choice(self, choice: dict[Any, Any]) -> str:
        whole = "delta" not in choice
        message = choice.get("message" if whole else "delta")
        reason = choice.get("finish_reason")
        self._note_reason(reason, choice)
        if not isinstance(message, dict):
            if not isinstance(reason, str) and not isinstance(choice.get("text"), str):
                return ""
            # ``text`` belongs to the older protocol without messages.
            message, whole = {"content": choice.get("text")}, False
        self._known = True
        text = self._read_text(message, whole=whole)
        self._note_progress(text, whole=whole)
        return text

    def _note_reason(self, reason: object, choice: dict[Any, Any]) -> None:
        if isinstance(reason, str) and reason not in _NO_REASONS and self._finish not in _FAILED:
            self._finish = reason
            self._choice_error = choice.get("error")

    def _read_text(self, message: dict[Any, Any], *, whole: bool) -> str:
        content = message.get("content")
        text = content if isinstance(content, str) else _text(content)
        if not text and "refusal" in message:
            text = _text(message["refusal"])
        if whole and self._has_text:
            # The complete message repeats the pieces before it.
            text = ""
        if not _RARE_FIELDS.isdisjoint(message) or isinstance(content, list):
            self.thought = _thought(message)
            if message.get("tool_calls") or message.get("function_call"):
                self._called_tools = self._begun = True
        return text

    def _note_progress(self, text: str, *, whole: bool) -> None:
        if text or self.thought:
            self._begun = True
            self._has_text = self._has_text or bool(text)
            # Text after a reason still counts, because some servers send a reason with every chunk.
            self.contradicted = self.contradicted or self.complete
        # After the first text an empty piece is a sign too: a token may be only half a character.
        self.alive = self._begun
        self.complete = self.complete or whole or bool(self._finish)


def _text(content: object) -> str:
    """Return the text of a message's content, a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (
            part for part in content if isinstance(part, dict) and part.get("type", "text") in _TEXT_PARTS
        )
        return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    return ""


_TEXT_PARTS = ("text", "output_text", "refusal")


def _thought(message: Mapping[str, Any]) -> str:
    """Return the thoughts in a message: a string, or parts with a text under one of several names."""
    for field in _THOUGHTS:
        if (value := message.get(field)) and (thought := _thought_text(value)):
            return thought
    content = message.get("content")
    if isinstance(content, list):  # Mistral and Anthropic send thoughts as parts of the content
        return "".join(
            _thought_text(part)
            for part in content
            if isinstance(part, dict) and part.get("type") in ("thinking", "reasoning", "thought")
        )
    return ""


def _thought_text(value: object) -> str:
    match value:
        case str(text):
            return text
        case [*parts]:
            return "".join(map(_thought_text, parts))
        case {**fields}:
            for name in ("text", "thinking", "content", "summary", "reasoning"):
                if name in fields and (text := _thought_text(fields[name])):
                    return text
    return ""


def _usage(payload: Mapping[str, Any]) -> Usage | None:
    """Return the token counts of a chunk; the last counts of a stream cover all of it."""
    groq = payload.get("x_groq")
    found = payload.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
    match found:
        case {"prompt_tokens": int(sent), "completion_tokens": int(received)}:
            return Usage(sent, received)
        case {"input_tokens": int(sent), "output_tokens": int(received)}:
            return Usage(sent, received)
    return None
