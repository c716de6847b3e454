"""A failing model ends a turn with an error that names the cause, and the session continues."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.chat_client import ChatClient
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


def status(number: int, **headers: str) -> dict[str, Any]:
    """Return the plan for a failure with a status."""
    return {"status": number, "headers": headers}


LOADING: dict[str, Any] = {"status": 503, "body": {"error": "Model is loading", "estimated_time": 20.0}}


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (LOADING, "model_loading"),
        (status(401), "model_unauthorized"),
        (status(402), "model_payment_required"),
        (status(404), "model_not_found"),
        ({**status(422), "times": 2}, "model_rejected"),  # sent once more without the details
        (status(429, **{"Retry-After": "7"}), "model_rate_limited"),
        (status(500), "model_error"),
        ({"kind": "html"}, "model_bad_response"),
        ({"kind": "not_json"}, "model_bad_response"),
        ({"kind": "drop", "times": 2}, "model_unreachable"),  # sent once more on a new connection
        ({"kind": "die_mid_stream", "after": 0}, "model_unreachable"),
    ],
)
async def test_a_failing_model_is_told_as_an_error_and_the_session_goes_on(
    client: ChatClient, model: ModelServer, failure: dict[str, Any], code: str
) -> None:
    await check(client, model, failure, code)


async def test_a_model_that_never_answers_is_told_as_an_error(
    hasty_client: ChatClient, model: ModelServer
) -> None:
    await check(hasty_client, model, {"kind": "hang"}, "model_timeout")


async def test_a_model_that_dies_in_mid_answer_leaves_what_there_was(
    client: ChatClient, model: ModelServer
) -> None:
    token = await client.token()
    plain, streaming = await client.open(token), await client.stream(token)
    model.fail_next("die_mid_stream")
    turn = await streaming.say("One two three four five six")
    message = await streaming.until("message")
    assert message["turn"] == turn
    assert message["incomplete"] == "model_unreachable"
    assert message["msg"]
    assert "You said: One two three four five six".startswith(message["msg"])
    told = await plain.answer()
    assert (told["msg"], told["error"]) == (message["msg"], "model_unreachable")
    _, answer = (await client.session(token))["messages"]
    assert (answer["msg"], answer["incomplete"]) == (f"Bot: {message['msg']}", "model_unreachable")


@pytest.mark.parametrize("number", [400, 401, 413, 422, 429, 500, 503])
async def test_words_of_the_model_server_reach_no_user(
    client: ChatClient, model: ModelServer, number: int
) -> None:
    words = "gpu-7.internal refused org-acme: hf_KeyInTheErrorText <b>x</b>"
    token = await client.token()
    plain, streaming = await client.open(token), await client.stream(token)
    model.fail_next(
        status=number, body={"error": {"message": words, "type": words}, "message": words}, times=2
    )

    await streaming.say("hello")
    shown = [await streaming.until("error"), await plain.answer(), await client.session(token)]

    assert not [word for word in words.split() if word in str(shown)]


async def check(client: ChatClient, model: ModelServer, failure: dict[str, Any], code: str) -> None:
    """Let the second of three messages fail."""
    token = await client.token()
    socket = await client.open(token)
    await socket.send("One")
    assert (await socket.answer())["msg"] == "You said: One"

    model.fail_next(**failure)
    await socket.send("Two", "Three")
    error, answer = await socket.answers(2)

    assert set(error) == {"id", "msg", "timestamp", "error"}
    assert error["error"] == code
    assert error["msg"]
    assert "error" not in answer
    assert answer["msg"] == "You said: Three"
    session = await client.session(token)
    assert [message["msg"] for message in session["messages"]] == [
        "Human: One",
        "Bot: You said: One",
        "Human: Two",
        "Human: Three",
        "Bot: You said: Three",
    ]
    assert await socket.silent(0.1)
