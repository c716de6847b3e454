"""Ends of streams, events in all forms, and signs of life."""

from __future__ import annotations

import orjson

from pipeline.models import Usage
from tests.support.raw_server import head
from tests.support.wire_cases.case import HELLO, STOP, WHOLE, Case, delta, document, event, stream
from tests.support.wire_server import DONE, chunk

ENDS = [
    stream("no space after data:", WHOLE.replace(b"data: ", b"data:")),
    stream("[DONE] without a line end", HELLO + b"data: [DONE]"),
    stream("[DONE] in lower case", HELLO + b"data: [done]\n\n"),
    stream("[DONE] without a field", HELLO + b"[DONE]\n\n"),
    stream("[DONE] and nothing closes for a while", HELLO + DONE, 0.3),
    stream("an event named done", HELLO + b"event: done\ndata: {}\n\n"),
    stream("an event named end without data", HELLO + b"event: end\ndata:\n\n"),
    stream("a reason in capitals", HELLO + chunk("STOP")),
    stream("a reason of another name", HELLO + chunk("eos_token")),
    stream(
        "a reason that is an object",
        HELLO + event({"choices": [{"delta": {}, "finish_reason": {"type": "stop"}}]}),
    ),
    stream("a close without any reason", HELLO, code="model_unreachable"),
    stream("aborted by the server", HELLO + chunk("abort") + DONE, code="model_error"),
    stream("out of resources", HELLO + chunk("insufficient_system_resource") + DONE, code="model_error"),
    stream("a network error of the server", HELLO + chunk("network_error"), code="model_error"),
    stream("filtered, as Zhipu has it", HELLO + chunk("sensitive") + DONE, code="model_rejected"),
    stream("filtered, as Google has it", HELLO + chunk("SAFETY") + DONE, code="model_rejected"),
    stream(
        "no tokens left, as Mistral has it",
        chunk("model_length") + DONE,
        text="",
        code="model_bad_response",
        words="MAX_NEW_TOKENS",
    ),
    stream(
        "no tokens left, as Google has it",
        chunk("MAX_TOKENS") + DONE,
        text="",
        code="model_bad_response",
        words="MAX_NEW_TOKENS",
    ),
    stream(
        "a reason of tools and no call",
        chunk("tool_calls") + DONE,
        text="",
        code="model_bad_response",
        words="tool",
    ),
    stream(
        "nothing but a call of a function",
        delta(function_call={"name": "f", "arguments": "{}"}) + chunk("function_call") + DONE,
        text="",
        code="model_bad_response",
        words="tool",
    ),
    stream(
        "text and a call of a tool", HELLO + delta(tool_calls=[{"index": 0}]) + chunk("tool_calls") + DONE
    ),
    stream(
        "the usage long after the reason",
        HELLO + STOP,
        0.4,
        event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        DONE,
        usage=Usage(3, 4),
    ),
    stream(
        "a complete message after the pieces",
        HELLO + event({"choices": [{"message": {"content": "Hello you"}, "finish_reason": "stop"}]}),
    ),
    stream(
        "messages instead of deltas",
        *(event({"choices": [{"message": {"content": text}}]}) for text in ("Hello", " you")),
        STOP,
        DONE,
    ),
    stream(
        "messages with the text so far",
        *(
            event({"choices": [{"message": {"content": text}}]})
            for text in ("Hello", "Hello you", "Hello you")
        ),
        DONE,
    ),
    stream(
        "messages with a pause",
        event({"choices": [{"message": {"content": "Hello"}}]}),
        1.2,
        event({"choices": [{"message": {"content": " you"}}]}),
        DONE,
    ),
    stream(
        "text, as completions have it",
        *(event({"choices": [{"text": text, "index": 0}]}) for text in ("Hello", " you")),
        event({"choices": [{"text": "", "finish_reason": "stop"}]}),
    ),
    stream(
        "content in parts", delta(content=[{"type": "text", "text": "Hello"}]), delta(content=[" you"]), STOP
    ),
    stream("content that is a part", delta(content={"type": "text", "text": "Hello you"}), STOP),
    stream("choices that are null", event({"choices": None}), WHOLE),
    stream(
        "an empty error in each chunk",
        *(
            event({"choices": [{"delta": {"content": text}}], "error": {"code": 0, "message": ""}})
            for text in ("Hello", " you")
        ),
        DONE,
    ),
    stream(
        "NaN in a chunk",
        b'data: {"choices": [{"delta": {"content": "Hello you"}, "logprobs": NaN}]}\n\n',
        DONE,
    ),
    stream(
        "values encoded twice",
        *(b"data: " + orjson.dumps(part[6:].decode()) + b"\n\n" for part in WHOLE.split(b"\n\n")[:-2]),
        DONE,
    ),
]

FRAMES = [
    stream("a byte at a time", *(bytes([byte]) for byte in WHOLE)),
    stream("CRLF", WHOLE.replace(b"\n", b"\r\n")),
    stream("CRLF a byte at a time", *(bytes([byte]) for byte in WHOLE.replace(b"\n", b"\r\n"))),
    stream("CR alone", WHOLE.replace(b"\n", b"\r")),
    stream("CR alone a byte at a time", *(bytes([byte]) for byte in WHOLE.replace(b"\n", b"\r"))),
    stream("a byte order mark", b"\xef\xbb\xbf" + WHOLE),
    stream("a byte order mark split", b"\xef", b"\xbb", b"\xbf" + WHOLE),
    stream(
        "a byte order mark before each event",
        *(b"data: \xef\xbb\xbf" + part[6:] + b"\n\n" for part in WHOLE.split(b"\n\n")[:-1]),
    ),
    Case(
        "a document with a byte order mark",
        (
            head(kind="application/json")
            + b"\xef\xbb\xbf"
            + document({"content": "Hello you"}).partition(b"\r\n\r\n")[2],
        ),
    ),
    stream("events without blank lines", WHOLE.replace(b"\n\n", b"\n")),
    stream("events without blank lines stream", *(part + b"\n" for part in WHOLE.split(b"\n\n")[:-1])),
    stream(
        "an object over several data lines",
        b'data: {"choices": [{\ndata: "delta": {"content": "Hello you"}\ndata: }]}\n\n',
        DONE,
    ),
    stream("fields in capitals and indented", WHOLE.replace(b"data: ", b"  Data: ")),
    stream("ids, names and retries", b"id: 1\nretry: 10\nevent: chunk\n" + WHOLE),
    stream(
        "JSON lines",
        *(part[6:] + b"\n" for part in (HELLO + STOP).split(b"\n\n")[:-1]),
        start=head(kind="application/x-ndjson"),
    ),
    stream(
        "JSON lines of no type",
        *(part[6:] + b"\n" for part in (HELLO + STOP).split(b"\n\n")[:-1]),
        start=head(kind="text/plain"),
    ),
    stream("a line of a megabyte", delta(content="Hello you", logprobs="x" * 1_000_000), DONE),
    stream("kilobytes of padding", b":" + b" " * 5000 + b"\n\n", WHOLE),
    stream("many kilobytes of line feeds", *(b"\n" * 3000 for _ in range(4)), WHOLE),
    Case(
        "line feeds before a document",
        (
            (
                head(kind="application/json"),
                b"\n" * 3000,
                0.01,
                b"\n" * 3000,
                0.01,
                b"\n" * 3000,
                document({"content": "Hello you"}).partition(b"\r\n\r\n")[2],
            ),
        ),
    ),
    stream("a type that lies", WHOLE, start=head(kind="application/json")),
    stream("no type at all", WHOLE, start=b"HTTP/1.1 200 OK\r\n\r\n"),
    stream(
        "a page instead of a stream",
        b"<html>Log in</html>",
        start=head(kind="text/html"),
        text="",
        code="model_bad_response",
    ),
]

SIGNS = [
    stream(
        f"a sign of life: {sign!r}",
        sign,
        chunk(content="Hello"),
        sign,
        chunk(content=" you"),
        sign,
        STOP,
        DONE,
    )
    for sign in (
        b"data: : OPENROUTER PROCESSING\n\n",
        b"data: :\n\n",
        b"data: [KEEPALIVE]\n\n",
        b"data: HEARTBEAT 17\n\n",
        b"data: 0\n\n",
        b"data: true\n\n",
        b"data: []\n\n",
        b'data: ""\n\n',
        b'data: "ping"\n\n',
        b"data: \t\n\n",
        b"data: ...\n\n",
        b'event: keep_alive\ndata: {"at": 1}\n\n',
        b"event: ping\ndata: still here\n\n",
        b'data: {"type": "heartbeat"}\n\n',
        b'data: {"status": "processing"}\n\n',
        b'data: {"choices": []}\n\n',
        b'data: {"choices": [{"delta": {}}]}\n\n',
        b'data: {"event": "progress", "progress": 0.5}\n\n',
        b'data: {"prompt_progress": {"total": 9, "processed": 3}, "choices": [{"delta": {}}]}\n\n',
        b"ping\n\n",
        b"event\n\n",
        b"data\n\n",
        b": \xff\xfe\n\n",
        b"data: <keepalive>\n\n",
        b"data: connected\n\n",
    )
]
