"""Find text, thoughts and token counts in the fields of a chat completion's payloads; no I/O.

Servers agree on the field ``content``; for everything else each has names of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from pipeline.models.base import Usage

#: The fields of a message without thoughts.
PLAIN_FIELDS = frozenset({"role", "content", "refusal", "name", "function_call", "tool_calls", "index"})
# The fields of a piece of text, and those that a payload or its choice has when there is more to read in it.
_FIELDS_OF_PIECE = frozenset({"role", "content", "refusal", "name", "index"})
_COUNTS = ("usage", "usageMetadata", "usage_metadata")
_FIELDS_BESIDE = frozenset({*_COUNTS[1:], "x_groq", "timings"})
_FIELDS_BESIDE_PIECE = frozenset({*_COUNTS, "text"})
_TEXT_PARTS = ("text", "output_text", "refusal")
_THOUGHT_PARTS = ("thinking", "reasoning", "thought", "reasoning_text", "summary_text", "analysis")
# Names such as ``reasoning_content``, ``thinking_blocks`` and ``thoughts``, but not the signatures and
# settings beside them.
_THOUGHT_FIELD = re.compile(r"reason|think|thought|^(?:cot|analysis)(?:_|$)", re.IGNORECASE)
_OTHER_FIELD = re.compile(
    r"finish|stop|signature|encrypted|opaque|effort|budget|tokens?$|^reason$"
    r"|_(?:id|ids|time|ms|seconds|duration|format|mode|type|level|status|enabled|name)$",
    re.IGNORECASE,
)
# Fields whose value marks the text beside them as a thought.
_CHANNELS = ("channel", "phase", "type", "content_type", "message_type")
_THOUGHT_CHANNEL = re.compile(r"^(?:analysis|commentary|think(?:ing)?|thoughts?|reason(?:ing)?(?:_\w+)?)$")
# Fields in which gateways wrap the fields of the server behind them.
_WRAPPERS = ("provider_specific_fields", "additional_kwargs", "extra_content", "google", "model_extra")
_MAX_DEPTH = 6
# Maximum of a plausible count, which every JSON reader can hold.
_MAX_TOKENS = 2**53


def plain_piece(payload: Mapping[str, Any]) -> str:
    """Return the text of a payload that holds a piece of the answer and nothing else to read; mostly so.

    Empty for any other payload.
    """
    try:
        choice = payload["choices"][0]
        delta = choice["delta"]
        content = delta["content"]
    except (LookupError, TypeError):
        return ""
    is_plain = (
        type(content) is str
        and (len(delta) == 1 or delta.keys() <= _FIELDS_OF_PIECE)
        and not choice.get("finish_reason")
        and not payload.get("usage")
        and _FIELDS_BESIDE.isdisjoint(payload)
        and _FIELDS_BESIDE_PIECE.isdisjoint(choice)
    )
    return content if is_plain else ""


def plain_pieces(payloads: Iterator[object], *, with_name: bool) -> tuple[list[str], Iterator[object]]:
    """Return the texts of payloads up to the first of which ``plain_piece`` is empty, and the rest.

    Args:
        payloads: payloads; one that may be an error belongs to the rest.
        with_name: whether a payload may hold the name of the model, because that is known.
    """
    pieces: list[str] = []
    for payload in payloads:
        piece = ""
        if isinstance(payload, dict) and "error" not in payload and (with_name or "model" not in payload):
            piece = plain_piece(payload)
        if not piece:
            return pieces, chain((payload,), payloads)
        pieces.append(piece)
    return pieces, payloads


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, a part, or a list of both."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(text_of, content))
    if (
        isinstance(content, dict)
        and content.get("type", "text") in _TEXT_PARTS
        and not _marks_thought(content)
    ):
        return text_of(content.get("text", content.get("refusal", "")))
    return ""


def thought_of(message: Mapping[str, Any]) -> str:
    """Return the thoughts in the fields of a message; empty without thoughts.

    The same thought may stand in several fields; the first one counts.
    """
    for field, value in message.items():
        if value and _holds_thoughts(field) and (thought := _thought_text(value)):
            return thought
    for field in _WRAPPERS:
        if isinstance(wrapped := message.get(field), dict) and (thought := thought_of(wrapped)):
            return thought
    content = message.get("content")
    if isinstance(content, list):  # Mistral and Anthropic send thoughts as parts of the content
        return "".join(
            _thought_text(part)
            for part in content
            if isinstance(part, dict) and (part.get("type") in _THOUGHT_PARTS or _marks_thought(part))
        )
    return ""


def _holds_thoughts(field: str) -> bool:
    return bool(field not in PLAIN_FIELDS and _THOUGHT_FIELD.search(field) and not _OTHER_FIELD.search(field))


def is_thought(message: Mapping[str, Any]) -> bool:
    """Return whether a flag of a message marks its content as a thought."""
    if _marks_thought(message):
        return True
    return any(isinstance(part := message.get(field), dict) and is_thought(part) for field in _WRAPPERS)


def usage_of(payload: Mapping[str, Any]) -> Usage | None:
    """Return the token counts of a payload; the last counts of a stream cover all of it."""
    choices = payload.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for source in (payload, payload.get("x_groq"), choice):
        if not isinstance(source, dict):
            continue
        for field in _COUNTS:
            if isinstance(counts := source.get(field), dict) and (usage := _usage(counts)):
                return usage
    return None


def timings_of(payload: Mapping[str, Any]) -> Usage | None:
    """Return the token counts in the timings that llama.cpp sends without being asked for the usage."""
    timings = payload.get("timings")
    if not isinstance(timings, dict):
        return None
    usage = _usage(timings)
    cached = count_of(timings, "cache_n") or 0
    return Usage(usage.input_tokens + cached, usage.output_tokens) if usage else None


def _marks_thought(fields: Mapping[str, Any]) -> bool:
    if any(fields.get(name) is True for name in ("thought", "is_thought", "is_thinking", "is_reasoning")):
        return True
    return any(
        isinstance(value := fields.get(name), str) and _THOUGHT_CHANNEL.match(value) for name in _CHANNELS
    )


def _thought_text(value: object, depth: int = 0) -> str:
    if depth == _MAX_DEPTH:
        return ""
    match value:
        case str(text):
            return text
        case [*parts]:
            return "".join(_thought_text(part, depth + 1) for part in parts)
        case {**fields}:
            for name in (
                "text",
                "thinking",
                "content",
                "summary",
                "reasoning",
                "reasoning_content",
                "thought",
            ):
                if name in fields and (text := _thought_text(fields[name], depth + 1)):
                    return text
    return ""


def _usage(counts: Mapping[str, Any]) -> Usage | None:
    sent = count_of(
        counts, "prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "promptTokenCount", "prompt_n"
    )
    received = count_of(
        counts,
        "completion_tokens",
        "output_tokens",
        "completionTokens",
        "outputTokens",
        "candidatesTokenCount",
        "generated_tokens",
        "predicted_n",
    )
    total = count_of(counts, "total_tokens", "totalTokens", "totalTokenCount")
    if sent is not None and received is None and total is not None and total >= sent:
        received = total - sent
    if sent is None or received is None or not (sent or received):
        return None  # some servers send zeros until the counts are known
    return Usage(sent, received)


def count_of(counts: Mapping[Any, Any], *names: str) -> int | None:
    """Return the first plausible count under one of several names, None without one."""
    for name in names:
        value = counts.get(name)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MAX_TOKENS:
            return int(value)
    return None
