"""Choices, pieces and contents in the shapes that servers give them."""

from __future__ import annotations

import orjson

from pipeline.models import Usage
from tests.support.raw_server import head
from tests.support.wire_cases.case import HELLO, STOP, Case, delta, document, event, stream
from tests.support.wire_server import DONE, chunk

EMOJI = b"\\ud83c\\udf89"


def choice(**fields: object) -> bytes:
    """Return an event with one choice of any fields."""
    return event({"choices": [fields]})


# Values of ``finish_reason`` that stand for no reason.
NO_REASONS: tuple[object, ...] = (None, "", "null", "None", False, 0, [], {}, "undefined")

CHOICES = [
    stream("a first chunk with the role alone", delta(role="assistant"), HELLO, STOP, DONE),
    stream(
        "a first chunk with the role and null",
        delta(role="assistant", content=None, refusal=None),
        HELLO,
        STOP,
        DONE,
    ),
    stream(
        "a role in each chunk", *(delta(role="assistant", content=text) for text in ("Hello", " you")), DONE
    ),
    stream("a delta that is null", HELLO, choice(index=0, delta=None, finish_reason="stop")),
    stream("a last chunk without a delta", HELLO, choice(index=0, finish_reason="stop")),
    stream("a last chunk with the last text", chunk(content="Hello"), chunk("stop", content=" you"), DONE),
    stream(
        "fields in another order",
        b'data: {"choices":[{"finish_reason":null,"delta":{"content":"Hello you",'
        b'"role":"assistant"},"index":0}],"object":"chat.completion.chunk","id":"x"}\n\n',
        DONE,
    ),
    stream("choices that all have the index 1", choice(index=1, delta={"content": "Hello you"}), DONE),
    stream("choices without an index", choice(delta={"content": "Hello you"}), DONE),
    stream("choices that are an object", event({"choices": {"0": {"delta": {"content": "x"}}}}), HELLO, STOP),
    stream("a refusal in pieces", delta(refusal="Hello"), delta(content=None, refusal=" you"), STOP, DONE),
    stream("a refusal beside an empty text", delta(content="", refusal="Hello you"), STOP, DONE),
    Case("a document with a refusal", (document({"content": None, "refusal": "Hello you"}),)),
    stream(
        "content in parts of all kinds",
        delta(content=[{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "x"}}]),
        delta(content=[{"type": "output_text", "text": " you", "annotations": []}]),
        STOP,
    ),
    stream("content that is a number", delta(content=7), HELLO, STOP),
    stream(
        "calls of tools that are null", delta(content="Hello you", tool_calls=None, function_call=None), STOP
    ),
    stream("an empty list of calls", delta(content="Hello you", tool_calls=[]), chunk("stop"), DONE),
    stream(
        "sources beside the text",
        delta(content="Hello you", annotations=[{"type": "url_citation", "url": "https://example.org"}]),
        event({"choices": [], "citations": ["https://example.org"], "search_results": [{"title": "x"}]}),
        STOP,
    ),
    stream("audio beside the text", delta(content="Hello you", audio={"id": "a", "data": "eHg="}), STOP),
    stream(
        "half an emoji in each chunk",
        b'data: {"choices":[{"delta":{"content":"Hello \\ud83c"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\udf89"}}]}\n\n',
        STOP,
        text="Hello 🎉",
    ),
    stream(
        "an emoji in escapes",
        b'data: {"choices":[{"delta":{"content":"Hello ' + EMOJI + b'"}}]}\n\n',
        STOP,
        text="Hello 🎉",
    ),
    stream(
        "letters of several bytes, a byte at a time",
        *(bytes([byte]) for byte in chunk(content="Grüße, 你好 🎉") + STOP),
        text="Grüße, 你好 🎉",
    ),
    stream("a letter cut off by the server", chunk(content="Hello you\ufffd"), STOP, text="Hello you\ufffd"),
    stream(
        "bytes that are no UTF-8",
        chunk(content="Hello you~").replace(b"~", b"\xff"),
        STOP,
        text="Hello you\ufffd",
    ),
    stream("a NUL in the text", chunk(content="Hello\x00 you"), STOP, text="Hello\x00 you"),
    stream(
        "a line separator in the text", chunk(content="Hello\u2028you\u0085"), STOP, text="Hello\u2028you"
    ),
    *(
        stream(
            f"no reason: {reason!r}",
            chunk(reason, content="Hello"),
            chunk(reason, content=" you"),
            STOP,
            DONE,
        )
        for reason in NO_REASONS
    ),
    *(
        stream(f"a reason: {reason}", HELLO, chunk(reason))
        for reason in ("end_turn", "stop_sequence", "EOS", "eos", "completed", "length", "1", "stop_str")
    ),
    stream(
        "a reason in the chunk of the usage",
        HELLO,
        event(
            {
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 4},
            }
        ),
        usage=Usage(3, 4),
    ),
    stream(
        "the usage before the text",
        event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0}}),
        HELLO,
        STOP,
        event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        usage=Usage(3, 4),
    ),
    stream(
        "the usage without choices",
        HELLO,
        STOP,
        event({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        usage=Usage(3, 4),
    ),
    stream(
        "a usage of null in each chunk",
        *(event({"choices": [{"delta": {"content": text}}], "usage": None}) for text in ("Hello", " you")),
        STOP,
        DONE,
    ),
    stream("the same reason twice", HELLO, STOP, STOP, DONE),
    stream("[DONE] twice", HELLO, STOP, DONE, DONE),
    stream("something broken after [DONE]", HELLO, STOP, DONE, b"data: {broken\n\n"),
    stream("an error after [DONE]", HELLO, STOP, DONE, event({"error": {"message": "late"}})),
    stream("[DONE] with blanks", HELLO, b"data:  [DONE] \t\n\n"),
    stream("[DONE] in quotes", HELLO, b'data: "[DONE]"\n\n'),
    stream("[DONE] in the same event as the last piece", HELLO + STOP[:-1] + b"data: [DONE]\n\n"),
    stream("[DONE] alone", DONE, text="", code="model_bad_response"),
    stream(
        "a stream of comments alone", b": hi\n\n: hi\n\n", text="", code="model_bad_response", words="ended"
    ),
    stream("a pause and nothing else", b"retry: 3000\n\n", text="", code="model_bad_response"),
    stream("a close in the first event", HELLO[:30], text="", code="model_bad_response"),
    stream("a reason alone", STOP, DONE, text="", code="model_bad_response"),
    Case(
        "a document without choices",
        (head(kind="application/json") + orjson.dumps({"choices": []}),),
        "",
        code="model_bad_response",
    ),
    Case(
        "a document whose message is null",
        (
            head(kind="application/json")
            + orjson.dumps({"choices": [{"message": None, "finish_reason": "stop"}]}),
        ),
        "",
        code="model_bad_response",
    ),
    Case(
        "a document with text in parts",
        (document({"content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": " you"}]}),),
    ),
    stream("mixed ends of lines", HELLO.replace(b"\n\n", b"\r\n\r\n", 1) + STOP.replace(b"\n", b"\r") + DONE),
    stream(
        "a comment within an event",
        b'data: {"choices": [{\n: ping\ndata: "delta": {"content": "Hello you"}\n'
        b"event: message\ndata: }]}\n\n",
        DONE,
    ),
    stream("blank lines of spaces", (HELLO + STOP + DONE).replace(b"\n\n", b"\n \n\n")),
    stream("many blank lines", (HELLO + STOP + DONE).replace(b"\n\n", b"\n\n\n\n\n")),
    stream(
        "a field data within the field data",
        *(b"data: " + part + b"\n\n" for part in (HELLO + STOP + DONE).split(b"\n\n")[:-1]),
    ),
    stream("two events on one line", (HELLO + STOP).replace(b"\n\n", b"") + b"\n\n" + DONE),
    stream(
        "names of events",
        *(
            b"event: " + name + b"\n" + part + b"\n\n"
            for name, part in zip(
                (b"message", b"completion", b"done", b"end"),
                (HELLO + STOP + DONE).split(b"\n\n")[:-1],
                strict=True,
            )
        ),
    ),
    stream(
        "an event named end with the last piece",
        chunk(content="Hello"),
        b"event: end\n" + chunk(content=" you"),
        DONE,
    ),
]
