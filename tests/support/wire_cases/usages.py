"""Token counts, wherever they stand."""

from __future__ import annotations

from pipeline.models import Usage
from tests.support.wire_cases.case import HELLO, STOP, Case, document, event, stream
from tests.support.wire_server import DONE

COUNTS = {"prompt_tokens": 3, "completion_tokens": 4}
USAGES = [
    stream(f"usage: {name}", HELLO + STOP + event(payload) + DONE, usage=usage)
    for name, payload, usage in (
        ("beside the choice", {"choices": [{"delta": {}}], "usage": COUNTS}, Usage(3, 4)),
        ("in the choice", {"choices": [{"delta": {}, "usage": COUNTS}]}, Usage(3, 4)),
        (
            "of input and output",
            {"choices": [], "usage": {"input_tokens": 3, "output_tokens": 4}},
            Usage(3, 4),
        ),
        ("in camel case", {"choices": [], "usage": {"promptTokens": 3, "completionTokens": 4}}, Usage(3, 4)),
        (
            "of Google",
            {"choices": [], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4}},
            Usage(3, 4),
        ),
        (
            "with a total alone",
            {"choices": [], "usage": {"prompt_tokens": 3, "total_tokens": 7}},
            Usage(3, 4),
        ),
        ("in words", {"choices": [], "usage": {"prompt_tokens": "3", "completion_tokens": "4"}}, Usage(3, 4)),
        (
            "in fractions",
            {"choices": [], "usage": {"prompt_tokens": 3.0, "completion_tokens": 4.0}},
            Usage(3, 4),
        ),
        (
            "of llama.cpp's timings",
            {"choices": [], "timings": {"cache_n": 2, "prompt_n": 1, "predicted_n": 4}},
            Usage(3, 4),
        ),
        ("of zero tokens", {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}, None),
        ("below zero", {"choices": [], "usage": {"prompt_tokens": -3, "completion_tokens": 4}}, None),
        (
            "beyond all numbers",
            {"choices": [], "usage": {"prompt_tokens": 1e300, "completion_tokens": 4}},
            None,
        ),
        ("half", {"choices": [], "usage": {"prompt_tokens": 3}}, None),
        ("null", {"choices": [], "usage": {"prompt_tokens": None, "completion_tokens": None}}, None),
        ("no object", {"choices": [], "usage": "3 and 4"}, None),
    )
]
USAGES += [
    stream(
        "usage with each chunk",
        *(
            event(
                {
                    "choices": [{"delta": {"content": text}}],
                    "usage": {"prompt_tokens": 3, "completion_tokens": count},
                }
            )
            for text, count in (("Hello", 1), (" you", 4))
        ),
        STOP,
        DONE,
        usage=Usage(3, 4),
    ),
    stream(
        "timings after the usage",
        HELLO,
        STOP,
        event({"choices": [], "usage": COUNTS, "timings": {"prompt_n": 1, "predicted_n": 4}}),
        event({"choices": [], "timings": {"prompt_n": 1, "predicted_n": 4}}),
        DONE,
        usage=Usage(3, 4),
    ),
    Case("usage of a document", (document({"content": "Hello you"}, usage=COUNTS),), usage=Usage(3, 4)),
]
