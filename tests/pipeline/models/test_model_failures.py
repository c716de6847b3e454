"""Every failure of a model server becomes a ``ModelError`` that names the cause."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import ModelError
from pipeline.models import ModelRequest, answer_text, whole_answer
from pipeline.models.silence import Patience
from pipeline.models.text_generation import TextGeneration
from tests.pipeline.models.conftest import PATIENCE, TOKEN
from tests.support.model_server import FailureKind, ModelServer


async def failure_of(model: TextGeneration, question: ModelRequest) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await whole_answer(model, question)
    assert "\n" not in caught.value.detail
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (301, "model_rejected", False),
        (400, "model_rejected", False),
        (401, "model_unauthorized", False),
        (402, "model_payment_required", False),
        (403, "model_unauthorized", False),
        (404, "model_not_found", False),
        (405, "model_rejected", False),
        (408, "model_timeout", True),
        (410, "model_not_found", False),
        (413, "model_rejected", False),
        (422, "model_rejected", False),
        (424, "model_error", True),
        (429, "model_rate_limited", True),
        (500, "model_error", True),
        (502, "model_error", True),
        (503, "model_loading", True),
        (504, "model_error", True),
    ],
)
async def test_each_status_has_its_code(
    server: ModelServer,
    text_model: TextGeneration,
    question: ModelRequest,
    status: int,
    code: str,
    retryable: bool,
) -> None:
    # One that is too large is sent once more, without its oldest messages.
    server.fail_next(status=status, body={"error": "so it says"}, times=2 if status == 413 else 1)
    error = await failure_of(text_model, question)
    assert (error.code, error.retryable, error.status) == (code, retryable, status)
    assert "so it says" in error.report
    assert "so it says" not in error.detail
    assert await whole_answer(text_model, question) == "You said: How are you?"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "Bad parameter", "error_type": "validation"}, "Bad parameter (validation)"),
        ({"error": {"message": "No such model", "type": "odd"}}, "No such model (odd)"),
        ({"error": ["Error in `parameters.x`", "more"]}, "Error in `parameters.x`"),
        ({"message": "Not here"}, "Not here"),
        ({"detail": "Not Found"}, "Not Found"),
        (
            {"detail": [{"msg": "Field required", "loc": ["body", "n"], "input": {"inputs": "secret"}}]},
            "Field required (body.n)",
        ),
        ("plain\n  words", "plain words"),
        ("\x1b[31mred\u202e", "[31mred"),
        ("<html><body>nginx</body></html>", "<html><body>nginx</body></html>"),
        ({"error": {"unknown": 1}}, '{"error":{"unknown":1}}'),
        ({"error": f"Wrong key {TOKEN}"}, "Wrong key …"),
        ({"error": "x" * 9000}, "x" * 4000 + "… ("),
        (["odd"], '["odd"]'),
        ("", "none"),
    ],
)
async def test_the_servers_own_words_go_to_the_log_alone(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest, body: object, said: str
) -> None:
    server.fail_next(status=422, body=body)
    error = await failure_of(text_model, question)
    assert error.detail == "The model server rejected the request"
    assert said in error.report
    assert "secret" not in error.report
    assert error.report.isprintable()


@pytest.mark.parametrize(
    ("status", "body", "headers", "wait"),
    [
        (503, {"error": "Model x is currently loading", "estimated_time": 20.0}, {}, "(try again in 20 s)"),
        (503, {"error": "later"}, {"Retry-After": "7"}, "(try again in 7 s)"),
        (429, {"error": "slow down"}, {"Retry-After": "30"}, "(try again in 30 s)"),
        (429, {"error": "slow down"}, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "too many requests"),
        (503, {"error": "loading", "estimated_time": "soon"}, {}, "not available right now"),
    ],
)
async def test_the_time_to_wait_is_told(
    server: ModelServer,
    text_model: TextGeneration,
    question: ModelRequest,
    status: int,
    body: object,
    headers: dict[str, str],
    wait: str,
) -> None:
    server.fail_next(status=status, body=body, headers=headers)
    error = await failure_of(text_model, question)
    assert error.detail.endswith(wait)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "Model is overloaded", "error_type": "overloaded"}, "model_rate_limited"),
        ({"error": "bad `inputs`", "error_type": "validation"}, "model_rejected"),
        ({"error": "CUDA out of memory", "error_type": "generation"}, "model_error"),
        ({"error": "who knows", "error_type": "new kind"}, "model_error"),
        ({"error": "who knows"}, "model_error"),
        ({"error": "loading", "estimated_time": 12}, "model_loading"),
        ({"error": {"message": "no credit", "code": 402}}, "model_payment_required"),
        ({"error": {"message": "no key", "code": "invalid_key"}}, "model_error"),
        ({"error": {"message": "slow down", "code": "429"}}, "model_rate_limited"),
        ({"error": {"message": "wait", "type": "RateLimitError"}}, "model_rate_limited"),
        ({"error": {"message": "no", "code": "invalid_api_key"}}, "model_unauthorized"),
        ({"error": {"message": "pay", "code": "insufficient_quota"}}, "model_payment_required"),
        ({"error": {"message": "busy", "status": "RESOURCE_EXHAUSTED"}}, "model_rate_limited"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "model_rate_limited"),
        (
            {"error": {"message": "?", "code": "model_not_found", "type": "invalid_request_error"}},
            "model_not_found",
        ),
        ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, "model_rejected"),
        ({"error": True, "message": "out of memory"}, "model_error"),
        ({"errors": ["out of memory"]}, "model_error"),
    ],
)
async def test_an_error_inside_a_successful_response_is_an_error(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest, body: object, code: str
) -> None:
    server.fail_next(status=200, body=body)
    error = await failure_of(text_model, question)
    assert (error.code, error.status) == (code, 200)


@pytest.mark.parametrize(
    "body",
    [[], {}, [{}], "[]", "null", "3", '"text"', [{"generated_text": None}], [["nested"]], {"error": None}],
)
async def test_json_of_another_shape_is_a_bad_response(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest, body: object
) -> None:
    server.fail_next(status=200, body=body)
    error = await failure_of(text_model, question)
    assert (error.code, error.retryable) == ("model_bad_response", False)


@pytest.mark.parametrize("generated", ["", "   \n", "Human: I speak for you", " Human:"])
async def test_an_empty_answer_is_a_bad_response_that_may_be_tried_again(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest, generated: str
) -> None:
    server.fail_next(status=200, body=[{"generated_text": generated}])
    error = await failure_of(text_model, question)
    assert (error.code, error.retryable) == ("model_bad_response", True)


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("drop", "model_unreachable", "broke"),
        ("die_mid_stream", "model_unreachable", "broke"),
        ("not_json", "model_bad_response", "instead of JSON"),
        ("html", "model_bad_response", "text/html"),
    ],
)
async def test_a_broken_exchange_is_an_error_and_the_next_request_works(
    server: ModelServer,
    text_model: TextGeneration,
    question: ModelRequest,
    kind: FailureKind,
    code: str,
    words: str,
) -> None:
    server.fail_next(kind)
    error = await failure_of(text_model, question)
    assert error.code == code
    assert words in error.detail
    assert await whole_answer(text_model, question) == "You said: How are you?"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, "model_payment_required"),
        (400, {"error": {"message": "API key not valid", "status": "UNAUTHENTICATED"}}, "model_unauthorized"),
        (400, {"error": {"message": "no such model", "code": "model_not_found"}}, "model_not_found"),
        (500, {"error": {"message": "wait", "code": "429"}}, "model_rate_limited"),
        (529, {"error": {"message": "wait"}}, "model_rate_limited"),
    ],
)
async def test_a_code_that_tells_more_than_the_status_decides(
    server: ModelServer,
    text_model: TextGeneration,
    question: ModelRequest,
    status: int,
    body: object,
    code: str,
) -> None:
    server.fail_next(status=status, body=body)
    assert (await failure_of(text_model, question)).code == code


async def test_a_redirect_is_not_followed_and_its_target_is_in_the_log(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest
) -> None:
    server.fail_next(status=307, body="", headers={"Location": f"{server.url}/elsewhere?key=abcdefgh"})
    error = await failure_of(text_model, question)
    assert (error.code, len(server.requests)) == ("model_rejected", 1)
    assert "/elsewhere?key=…" in error.report


async def test_an_empty_body_is_a_bad_response(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest
) -> None:
    server.fail_next(status=200, body="")
    assert "an empty body" in (await failure_of(text_model, question)).detail


async def test_no_answer_at_all_ends_at_the_timeout(server: ModelServer, question: ModelRequest) -> None:
    server.fail_next("hang")
    model = TextGeneration(server.url, token=None, patience=Patience(0.2, 0.2), max_new_tokens=25)
    try:
        error = await failure_of(model, question)
    finally:
        await model.close()
    assert (error.code, error.retryable) == ("model_timeout", True)
    assert error.detail == "The model gave no answer within 0.2 s"


async def test_a_server_that_is_not_there_is_unreachable(question: ModelRequest) -> None:
    async with ModelServer() as gone:
        url = gone.url
    model = TextGeneration(url, token=None, patience=PATIENCE, max_new_tokens=25)
    try:
        error = await failure_of(model, question)
    finally:
        await model.close()
    assert (error.code, error.retryable, error.status) == ("model_unreachable", True, None)


async def test_a_name_that_does_not_resolve_is_unreachable(question: ModelRequest) -> None:
    model = TextGeneration("http://nowhere.invalid/", token=None, patience=PATIENCE, max_new_tokens=25)
    try:
        error = await failure_of(model, question)
    finally:
        await model.close()
    assert error.code == "model_unreachable"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "model_bad_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{", "model_unreachable"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "model_bad_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n[{}]", "model_unreachable"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe[]", "model_bad_response"),
        (b"", "model_unreachable"),
    ],
)
async def test_bytes_that_are_no_response_are_an_error(
    question: ModelRequest, sent: bytes, code: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        model = TextGeneration(f"http://127.0.0.1:{port}/", token=None, patience=PATIENCE, max_new_tokens=25)
        try:
            error = await failure_of(model, question)
        finally:
            await model.close()
    assert error.code == code


async def test_an_answer_without_end_is_cut_off(
    server: ModelServer, text_model: TextGeneration, question: ModelRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_text, "MAX_ANSWER_CHARS", 1000)
    server.answer = lambda _: "x" * 2000
    error = await failure_of(text_model, question)
    assert (error.code, error.detail) == ("model_bad_response", "The model server's answer has no end")
