"""Refusals of strict model servers, in their own words; a ``ModelServer`` takes a list of these rules.

A rule gets the body of a chat request, and returns the status and the body of its refusal, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

Refused = tuple[int, object]
Rule = Callable[[Mapping[str, Any]], Refused | None]


def roles_alternate(body: Mapping[str, Any]) -> Refused | None:
    """Refuse what the chat templates of Mistral and Gemma raise at, as llama.cpp's server words it."""
    roles = [message["role"] for message in body["messages"]]
    talk = roles[1:] if roles and roles[0] == "system" else roles
    alternate = all(one != other for one, other in pairwise(talk))
    if talk and talk[0] == "user" and alternate and set(talk) <= {"user", "assistant"}:
        return None
    message = "Conversation roles must alternate user/assistant/user/assistant/..."
    return 500, {
        "error": {"code": 500, "message": f"Value is not callable: {message}", "type": "server_error"}
    }


def no_system_role(body: Mapping[str, Any]) -> Refused | None:
    """Refuse a message of the system, as vLLM does with Gemma's template."""
    if all(message["role"] != "system" for message in body["messages"]):
        return None
    return 400, {
        "object": "error",
        "message": "System role not supported",
        "type": "BadRequestError",
        "code": 400,
    }


def max_completion_tokens(body: Mapping[str, Any]) -> Refused | None:
    """Refuse the older name of the answer's limit, as OpenAI does for its newer models."""
    if "max_tokens" not in body:
        return None
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead."
    )
    return 400, {"error": {"message": message, "param": "max_tokens", "code": "unsupported_parameter"}}


def no_stream_options(body: Mapping[str, Any]) -> Refused | None:
    """Refuse a parameter that is not known, as servers do that are made with pydantic."""
    if "stream_options" not in body:
        return None
    problem = {
        "type": "extra_forbidden",
        "loc": ["body", "stream_options"],
        "msg": "Extra inputs are not permitted",
    }
    return 422, {"detail": [{**problem, "input": body["stream_options"]}]}


def without_words(name: str) -> Rule:
    """Return a rule that refuses a parameter without naming it."""

    def rule(body: Mapping[str, Any]) -> Refused | None:
        return (400, {"detail": "Bad Request"}) if name in body else None

    return rule


def context_of(words: int, *, with_sizes: bool = True) -> Rule:
    """Return a rule that refuses conversations of more words than the model's context has."""

    def rule(body: Mapping[str, Any]) -> Refused | None:
        size = sum(len(message["content"].split()) for message in body["messages"])
        if size <= words:
            return None
        if not with_sizes:
            return 400, {"error": {"message": "the input length exceeds the context length"}}
        message = "the request exceeds the available context size, try increasing it"
        error = {"code": 400, "message": message, "type": "exceed_context_size_error"}
        return 400, {"error": {**error, "n_prompt_tokens": size, "n_ctx": words}}

    return rule
