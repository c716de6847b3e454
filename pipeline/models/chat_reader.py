"""Read the answer from the payloads of the chat completions protocol; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from yarl import URL

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.addresses import is_of_ollama
from pipeline.models.base import Usage
from pipeline.models.chat_fields import (
    PLAIN_FIELDS,
    is_thought,
    plain_piece,
    plain_pieces,
    text_of,
    thought_of,
    timings_of,
    usage_of,
)
from pipeline.models.error_bodies import whole_text
from pipeline.models.failures import bad_response, broke_off, empty_answer, empty_stream
from pipeline.models.server_text import clean_server_text

_OTHER_KIND = "; is it a text generation server? Then set MODEL_KIND=text-generation"
_OLLAMA = "; for Ollama, MODEL_URL ends in /v1, not in /api/chat or /api/generate"

# Reasons for the end of an answer, in lower case: the token limit, a filter, a fault of the server.
_CUT_SHORT = frozenset(
    {
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "max_new_tokens",
        "model_length",
        "token_limit",
    }
)
_FILTERED = frozenset(
    {
        "content_filter",
        "content_filtered",
        "sensitive",
        "safety",
        "prohibited_content",
        "blocklist",
        "recitation",
        "spii",
        "guardrail_intervened",
        "moderation",
    }
)
_FAILED = frozenset(
    {
        "error",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "failed",
        "network_error",
        "insufficient_system_resource",
        "timeout",
    }
)
_TOOLS = frozenset({"tool_calls", "tool_call", "tool_use", "function_call", "malformed_function_call"})
# Values that mean no reason: some servers write its absence as a word.
_NO_REASONS = frozenset({"", "null", "none", "undefined", "unspecified", "finish_reason_unspecified"})


class ChatReader:
    """Read the chunks of a completion, or a complete one; see ``endpoint.Reader``.

    Args:
        url: the address of the server, for hints after a refusal.
        on_model: called with the name of the model that answers, once the server names it.
    """

    def __init__(self, url: URL | None = None, on_model: Callable[[str], None] | None = None) -> None:
        self.alive = False
        self.complete = False
        self.contradicted = False
        self.ended = False
        self.thought = ""
        self.usage: Usage | None = None
        self._url = url
        self._on_model = on_model
        self._known = False
        self._has_other_payloads = False
        self._begun = False
        # The text so far, while all of it came in complete messages; and whether any came in pieces.
        self._whole = ""
        self._has_whole = False
        self._has_text = False
        self._has_thought = False
        self._called_tools = False
        self._finish = ""
        self._choice_error: object = None

    @property
    def cut_short(self) -> bool:
        """Whether the model used up its tokens."""
        return self._finish in _CUT_SHORT

    def read(self, payload: object) -> str:
        """Return the text that a payload adds."""
        self.alive = False
        self.thought = ""
        if not isinstance(payload, dict):
            if isinstance(payload, list) and payload and isinstance(payload[0], dict):
                return self.read(payload[0]) if "choices" in payload[0] else self._foreign(payload[0])
            self._has_other_payloads = True
            return ""
        return self._read_chunk(payload)

    def read_pieces(self, payloads: Iterator[object]) -> tuple[list[str], Iterator[object]]:
        """Return the texts of the payloads up to the first that holds more than that, and the rest."""
        pieces, payloads = plain_pieces(payloads, with_name=self._on_model is None)
        if pieces:
            self._note_piece()
        return pieces, payloads

    def _note_piece(self) -> None:
        self._known = self._begun = self._has_text = self.alive = True
        self.contradicted = self.contradicted or self.complete
        self.complete = self.complete or bool(self._finish)

    def _read_chunk(self, payload: dict[Any, Any]) -> str:
        if self._on_model is not None and isinstance(name := payload.get("model"), str):
            self._on_model(name)
            self._on_model = None
        if piece := plain_piece(payload):
            self._note_piece()
            return piece
        self.usage = usage_of(payload) or self.usage or timings_of(payload)
        choices = payload.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return self._read_choice(choices[0])
        # Chunks without a choice hold the usage, or a content filter's verdict on the question.
        self._has_other_payloads = True
        return "" if "choices" in payload else self._foreign(payload)

    def done(self) -> None:
        """Record the end of the stream."""
        self._known = self.complete = self.ended = True

    def check(self, *, empty: bool) -> None:
        """Raise unless the payloads make up a complete answer."""
        if not (self._known or self._has_other_payloads):
            raise empty_stream()
        if not self._known:
            raise bad_response(
                "The model server's response has no choices; is it a chat completions server "
                "(see MODEL_KIND)?"
            )
        if self._finish in _FILTERED:
            raise ModelError(
                ModelErrorCode.REJECTED, "The model server's content filter held the answer back", False
            )
        if self._finish in _FAILED:
            said = clean_server_text(whole_text({"error": self._choice_error})) if self._choice_error else ""
            detail = "The model failed while it generated the answer"
            raise ModelError(ModelErrorCode.ERROR, detail, retryable=True, report=said)
        if not self.complete and not self._has_whole:
            raise broke_off()
        if not empty:
            return
        if self.cut_short:
            # A reasoning model's thoughts come first, from the same budget.
            raise bad_response(
                "The model used up its tokens before it answered (MAX_NEW_TOKENS is too small)"
            )
        if self._called_tools or self._finish in _TOOLS:
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
        if isinstance(reason, dict):  # SGLang's own shape
            reason = reason.get("type")
        if not isinstance(reason, str) or self._finish in _FAILED or self._finish in _FILTERED:
            return
        reason = reason.lower()
        if reason not in _NO_REASONS:
            self._finish = reason
            self._choice_error = choice.get("error")

    def _read_text(self, message: dict[Any, Any], *, whole: bool) -> str:
        text = text_of(message.get("content"))
        if not text and "refusal" in message:
            text = text_of(message["refusal"])
        if not message.keys() <= PLAIN_FIELDS or not isinstance(message.get("content"), str | None):
            self.thought = "" if whole and self._has_thought else thought_of(message)
            if text and not self.thought and is_thought(message):
                self.thought, text = text, ""
        if message.get("tool_calls") or message.get("function_call"):
            self._called_tools = self._begun = True
        return self._new_text(text) if whole else text

    def _new_text(self, text: str) -> str:
        """Return the part of a complete message that its predecessors lack.

        A complete message repeats the pieces before it. Some servers send nothing but messages, each with the
        text so far, or each with one more piece.
        """
        if self._has_text:
            return ""
        new = text.removeprefix(self._whole)
        self._whole += new
        return new

    def _note_progress(self, text: str, *, whole: bool) -> None:
        if text or self.thought:
            self._begun = True
            self._has_text = self._has_text or (bool(text) and not whole)
            self._has_thought = self._has_thought or bool(self.thought)
            # Text after a reason still counts, because some servers send a reason with every chunk.
            self.contradicted = self.contradicted or self.complete
        # After the first text an empty piece is a sign too: a token may be only half a character.
        self.alive = self._begun
        self._has_whole = self._has_whole or whole
        self.complete = self.complete or bool(self._finish)
