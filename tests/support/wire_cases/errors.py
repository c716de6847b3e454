"""Errors in mid-stream and as refusals, and models that load."""

from __future__ import annotations

import time
from email.utils import formatdate

from tests.support.raw_server import head
from tests.support.wire_cases.case import HELLO, STOP, WHOLE, event, fails, refuses, stream
from tests.support.wire_server import DONE

J = head(kind="application/json")


def date(seconds: float) -> str:
    """Return a date as HTTP writes it, so many seconds from now."""
    return formatdate(time.time() + seconds, usegmt=True)


# Fields beside an answer that do not make it an error.
HARMLESS: tuple[dict[str, object], ...] = (
    {"error": None},
    {"error": False},
    {"error": ""},
    {"error": {}},
    {"error": []},
    {"errors": []},
    {"detail": None},
    {"code": 0, "message": "Success", "sid": "x"},
    {"code": 200, "msg": "success"},
    {"status": "ok", "message": ""},
)

ERRORS = [
    fails("FastAPI", {"detail": "CUDA out of memory"}, "model_error", "CUDA"),
    fails("a message and a status", {"message": "no", "status": 429}, "model_rate_limited"),
    fails("Dashscope", {"code": "Throttling", "message": "slow", "request_id": "x"}, "model_rate_limited"),
    fails(
        "Dashscope on input",
        {"code": "InvalidParameter", "message": "odd", "request_id": "x"},
        "model_rejected",
    ),
    fails(
        "MiniMax",
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
        "model_error",
        "insufficient balance",
    ),
    fails(
        "Cloudflare",
        {"success": False, "errors": [{"code": 3040, "message": "Capacity exceeded"}], "result": None},
        "model_error",
        "Capacity",
    ),
    fails("Lambda", {"errorMessage": "Task timed out", "errorType": "Timeout"}, "model_timeout", "timed out"),
    fails("Baidu", {"error_code": 336501, "error_msg": "Rate limit"}, "model_error", "Rate limit"),
    fails(
        "a list of one error",
        [{"error": {"code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED"}}],
        "model_rate_limited",
        "busy",
    ),
    fails(
        "an error in an error", {"error": {"error": {"message": "deep", "code": 503}}}, "model_error", "deep"
    ),
    fails("an error that is a list", {"error": [{"message": "listed"}]}, "model_error", "listed"),
    fails(
        "a fault",
        {"fault": {"faultstring": "quota", "detail": {"errorcode": "policies"}}},
        "model_error",
        "quota",
    ),
    fails(
        "Anthropic",
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        "model_rate_limited",
    ),
    fails(
        "vLLM",
        {"object": "error", "message": "oops", "type": "InternalServerError", "code": 500},
        "model_error",
    ),
    fails(
        "text-generation-inference",
        {"error": "Incomplete generation", "error_type": "incomplete_generation"},
        "model_error",
    ),
    fails("a number in a word", {"error": {"message": "x", "code": "HTTP_429"}}, "model_rate_limited"),
    fails("codes in camel case", {"error": {"message": "x", "code": "InvalidApiKey"}}, "model_unauthorized"),
    fails(
        "an error beside text",
        {"choices": [{"delta": {"content": "!"}}], "error": {"message": "bad", "code": 502}},
        "model_error",
    ),
    stream(
        "an error: line in words",
        HELLO + b"error: upstream connect error\n\n",
        code="model_error",
        log="upstream",
    ),
    stream(
        "an event named Error",
        HELLO + b'event: error\ndata: {"message": "m", "code": "429"}\n\n',
        code="model_rate_limited",
    ),
    stream(
        "bare JSON without a line end",
        HELLO + b'{"message": "late", "status_code": 429}',
        code="model_rate_limited",
    ),
    stream(
        "a page after events",
        HELLO + b"<html><h1>504 Gateway Time-out</h1></html>",
        code="model_unreachable",
        log="504",
    ),
    stream("an event named error, without data", HELLO + b"event: error\n\n" + STOP + DONE),
    stream("an event named error, with empty data", HELLO + b"event: error\ndata:\n\n", code="model_error"),
    stream("an event named error, with null", HELLO + b"event: error\ndata: null\n\n", code="model_error"),
    stream(
        "an event named error, in words",
        HELLO + b"event: error\ndata: upstream timed out\n\n",
        code="model_error",
        log="upstream timed out",
    ),
    stream("an event named error after the end", WHOLE + b"event: error\ndata: late\n\n"),
    stream(
        "an event of a failed response",
        HELLO + b'event: response.failed\ndata: {"error": {"message": "x", "code": "server_error"}}\n\n',
        code="model_error",
    ),
    fails(
        "a type error", {"type": "error", "message": "x", "code": "overloaded_error"}, "model_rate_limited"
    ),
    fails("an error that is true", {"error": True, "message": "overheated"}, "model_error", "overheated"),
    fails("an error in a word", {"error": "boom"}, "model_error", "boom"),
    fails("a list of words", {"errors": ["boom"]}, "model_error", "boom"),
    fails("Google's status", {"error": {"message": "x", "status": "UNAVAILABLE"}}, "model_loading"),
    fails(
        "an error of the choice",
        {"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 429, "message": "slow"}}]},
        "model_error",
        "slow",
    ),
    *(
        stream(
            f"no error: {fields}",
            *(event({**fields, "choices": [{"delta": {"content": text}}]}) for text in ("Hello", " you")),
            DONE,
        )
        for fields in HARMLESS
    ),
    *(
        stream(f"an error as the document of a success: {body!r}", body, start=J, text="", code=code)
        for body, code in (
            (b'{"error": {"message": "no", "code": 429}}', "model_rate_limited"),
            (b'[{"error": {"message": "no", "code": 503}}]', "model_loading"),
            (b'{"error": {"message": "no", "code": "401"}}', "model_unauthorized"),
            (b'{"error": {"message": "no", "code": "insufficient_quota"}}', "model_payment_required"),
            (b'{"code": 11200, "message": "no licence", "sid": "x"}', "model_error"),
            (b'"no"', "model_bad_response"),
            (b"null", "model_bad_response"),
            (b"true", "model_bad_response"),
            (b"{}", "model_bad_response"),
        )
    ),
    stream(
        "words instead of a stream", b"No.", start=head(kind="text/plain"), text="", code="model_bad_response"
    ),
    refuses("a page with 502", "502 Bad Gateway", b"<html>502 nginx</html>", "model_error", log="nginx"),
    refuses(
        "429 with a wait in words",
        "429 Too Many Requests",
        {"error": {"message": "Please try again in 6.5s."}},
        "model_rate_limited",
        words="(try again in 6 s)",
    ),
    refuses(
        "429 with milliseconds",
        "429 Too Many Requests",
        {"error": "busy"},
        "model_rate_limited",
        "retry-after-ms: 4000",
        words="(try again in 4 s)",
    ),
    refuses(
        "429 with minutes in words",
        "429 Too Many Requests",
        {"error": {"message": "Limit. Try again in 1m30s"}},
        "model_rate_limited",
        words="(try again in 90 s)",
    ),
    refuses(
        "429 with Google's delay",
        "429 Too Many Requests",
        [
            {
                "error": {
                    "code": 429,
                    "message": "quota",
                    "details": [{"@type": "RetryInfo", "retryDelay": "37s"}],
                }
            }
        ],
        "model_rate_limited",
        words="(try again in 37 s)",
    ),
    *(
        refuses(
            f"429 with the wait {name or value}",
            "429 Too Many Requests",
            {"error": "busy"},
            "model_rate_limited",
            f"Retry-After: {value}",
            words=words,
        )
        for name, value, words in (
            ("", "7", "(try again in 7 s)"),
            ("", "1.5", "(try again in 2 s)"),
            ("until a date", date(3000), "(try again in "),
            ("until a past date", date(-3000), ""),
            ("", "-5", ""),
            ("", "0", ""),
            ("", "soon", ""),
        )
    ),
    *(
        refuses(f"status {status}", status, b"<html>It failed</html>", code)
        for status, code in (
            ("408 Request Timeout", "model_timeout"),
            ("431 Request Header Fields Too Large", "model_rejected"),
            ("451 Unavailable For Legal Reasons", "model_rejected"),
            ("504 Gateway Time-out", "model_error"),
            ("520 Web Server Returned an Unknown Error", "model_error"),
            ("524 A Timeout Occurred", "model_error"),
            ("529 Site is overloaded", "model_rate_limited"),
            ("600 Beyond", "model_error"),
        )
    ),
    refuses("401 in words alone", "401 Unauthorized", b"Unauthorized", "model_unauthorized"),
    refuses(
        "403 of a wall",
        "403 Forbidden",
        b"<html>Attention Required! | Cloudflare</html>",
        "model_unauthorized",
        log="Cloudflare",
    ),
    refuses(
        "402 of the router",
        "402 Payment Required",
        {"error": "You have exceeded your monthly included credits"},
        "model_payment_required",
    ),
    refuses(
        "404 of a model",
        "404 Not Found",
        {"error": {"message": "model 'x' not found, try pulling it first", "type": "not_found_error"}},
        "model_not_found",
    ),
]

LOADING = [
    refuses(f"loading: {body!r}", status, body, "model_loading", loading=True)
    for status, body in (
        (
            "503 Service Unavailable",
            {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        ),
        ("503 Service Unavailable", {"error": "Model x is currently loading", "estimated_time": 20.0}),
        ("503 Service Unavailable", {"message": "The server is warming up"}),
        ("503 Service Unavailable", b"Endpoint is scaled to zero, scaling up"),
        ("503 Service Unavailable", {"error": "Model not ready yet"}),
        ("503 Service Unavailable", {"detail": {"message": "engine is initializing"}}),
        ("500 Internal Server Error", {"error": "llm server loading model"}),
        ("500 Internal Server Error", {"error": {"message": "wait", "code": "model_loading"}}),
        ("425 Too Early", {"error": "model is still loading"}),
        ("502 Bad Gateway", b"the model is starting, try later"),
        (
            "429 Too Many Requests",
            {"error": {"message": "Model is warming up", "type": "ModelNotReadyException"}},
        ),
    )
]
LOADING += [
    refuses(f"not loading: {body!r}", status, body, code, loading=False)
    for status, body, code in (
        (
            "503 Service Unavailable",
            {"error": {"message": "The engine is currently overloaded, please try later"}},
            "model_loading",
        ),
        ("503 Service Unavailable", {"error": "Failed to load model: file not found"}, "model_loading"),
        ("503 Service Unavailable", b"upstream connect error", "model_loading"),
        ("500 Internal Server Error", {"error": "unable to load model x"}, "model_error"),
        ("500 Internal Server Error", {"error": "model runner has unexpectedly stopped"}, "model_error"),
    )
]

LOADING += [
    refuses(
        f"503 with the wait {name}",
        "503 Service Unavailable",
        b"<html>Busy</html>",
        "model_loading",
        f"Retry-After: {value}",
        words="(try again in ",
        loading=True,
    )
    for name, value in (("9", "9"), ("until a date", date(3000)))
]
