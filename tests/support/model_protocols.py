"""The payloads of a model server in both protocols: tokens and texts in, payloads out; no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson


@dataclass(frozen=True)
class Question:
    """A request to the server; the answer function turns it into the answer.

    Attributes:
        last: the last human message, without `Human:`.
        prompt: everything that the model would see, as one text.
    """

    last: str
    prompt: str


class Reply(Protocol):
    """An answer in one protocol.

    Attributes:
        question: what was asked; None when the request is wrong.
        refusal: what is wrong then.
    """

    question: Question | None
    refusal: str

    def whole(self, tokens: list[str]) -> object:
        """Return the payload of an answer that is not streamed."""

    def stream(self, tokens: Iterable[str], finish: str | None = None) -> Iterator[bytes]:
        """Yield the events of an answer; `tokens` may be endless, `finish` is why the answer ends."""


def frame(payload: object) -> bytes:
    """Return a payload as an event."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def split(text: str, at_least: int = 0) -> list[str]:
    """Return a text as tokens: words, each with the white space before it, filled up to a number of them."""
    tokens = re.findall(r"\s*\S+|\s+$", text)
    return tokens + [f" word{number}" for number in range(len(tokens) + 1, at_least + 1)]


class Generation:
    """The reply of text generation.

    Args:
        body: the request's.
        as_object: whether a whole answer is an object, as of `…/generate`, not a list of one.

    Attributes:
        question: what was asked; None when the request is wrong.
    """

    refusal = "`inputs` must be a text, `parameters` an object"

    def __init__(self, body: Mapping[str, Any], *, as_object: bool) -> None:
        prompt, parameters = body.get("inputs"), body.get("parameters", {})
        self._as_object = as_object
        self._parameters = parameters
        self.question = (
            Question(last_human_text(prompt), prompt)
            if isinstance(prompt, str) and isinstance(parameters, dict)
            else None
        )

    def whole(self, tokens: list[str]) -> object:
        """Return the payload of an answer that is not streamed."""
        prompt = self.question.prompt if self.question and self._parameters.get("return_full_text") else ""
        answer: dict[str, object] = {"generated_text": prompt + "".join(tokens)}
        if self._parameters.get("details"):
            answer["details"] = {**_details(len(tokens)), "prefill": [], "tokens": []}
        return answer if self._as_object else [answer]

    def stream(self, tokens: Iterable[str], finish: str | None = None) -> Iterator[bytes]:
        """Yield one event a token; the last, which is known by the one that isn't there, has the text."""
        text: list[str] = []
        waiting: dict[str, object] | None = None
        for number, token in enumerate(tokens, 1):
            if waiting is not None:
                yield frame(waiting)
            text.append(token)
            token_event = {"id": number, "text": token, "logprob": -0.1, "special": False}
            waiting = {"index": number, "token": token_event, "generated_text": None, "details": None}
        if waiting is not None:
            details = _details(len(text), finish or "length")
            details["input_length"] = len(self.question.prompt.split()) if self.question else 0
            yield frame({**waiting, "generated_text": "".join(text), "details": details})


class Completion:
    """The reply of chat completions.

    Args:
        body: the request's.
        model: the model's name, where the request has none.
        thoughts: a reasoning model's thoughts, before the answer.
        thoughts_field: where they stand in a message; in `content` they stand between tags.

    Attributes:
        question: what was asked; None when the request is wrong.
    """

    refusal = "`messages` must be a list of objects"

    def __init__(
        self,
        body: Mapping[str, Any],
        *,
        model: str,
        thoughts: Iterable[str] = (),
        thoughts_field: str = "reasoning_content",
    ) -> None:
        self._head = {
            "id": "chatcmpl-1",
            "created": 0,
            "model": body.get("model") or model,
            "system_fingerprint": "fake",
        }
        self._thoughts = list(thoughts)
        self._thoughts_field = thoughts_field
        if self._thoughts and thoughts_field == "content":
            self._thoughts = ["<think>", *self._thoughts, "</think>"]
        self._usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self.question: Question | None = None
        self._asked = 0
        messages = body.get("messages")
        if isinstance(messages, list) and all(isinstance(message, dict) for message in messages):
            said = [(str(message.get("role")), _content(message)) for message in messages]
            last = next((text for role, text in reversed(said) if role == "user"), "")
            self.question = Question(last, "\n".join(f"{role}: {text}" for role, text in said))
            self._asked = sum(len(text.split()) for _, text in said)

    def whole(self, tokens: list[str]) -> object:
        """Return the payload of an answer that is not streamed."""
        message = {"role": "assistant", "content": "".join(tokens)}
        if self._thoughts:
            thoughts = "".join(self._thoughts)
            content = message["content"] if self._thoughts_field == "content" else ""
            message[self._thoughts_field] = f"{thoughts}{content}"
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": self._count(len(tokens)),
        }

    def stream(self, tokens: Iterable[str], finish: str | None = None) -> Iterator[bytes]:
        """Yield the role, the thoughts, one event a token, the reason for the end, and the end."""
        yield self._chunk({"role": "assistant", "content": ""})
        for thought in self._thoughts:
            yield self._chunk({self._thoughts_field: thought})
        number = 0
        for token in tokens:
            number += 1
            yield self._chunk({"content": token})
        yield self._chunk({}, finish or "stop")
        if self._usage:
            head = {**self._head, "object": "chat.completion.chunk"}
            yield frame({**head, "choices": [], "usage": self._count(number)})
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return frame({**self._head, "object": "chat.completion.chunk", "choices": [choice]})

    def _count(self, tokens: int) -> dict[str, int]:
        return {
            "prompt_tokens": self._asked,
            "completion_tokens": tokens,
            "total_tokens": self._asked + tokens,
        }


def last_human_text(prompt: str) -> str:
    """Return the last human message of a prompt, without `Human:` and without the ` Bot:` at the end."""
    return prompt.rpartition("Human:")[2].strip().removesuffix("Bot:").strip()


def _details(tokens: int, finish: str = "length") -> dict[str, object]:
    return {"finish_reason": finish, "generated_tokens": tokens}


def _content(message: Mapping[str, Any]) -> str:
    """Return a chat message's text, which may come as one text or as parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")
