"""Messages and errors are redacted for operators."""

from __future__ import annotations

import json

import pytest

from pipeline.telemetry.stages.redaction import shown_error, shown_message

SECRET = "my diagnosis"


@pytest.mark.parametrize(
    "message",
    [
        {"text": SECRET},
        {"id": SECRET},
        {"context": [SECRET]},
        {"detail": SECRET},
        {"a field of tomorrow": {"deep": SECRET}},
        [SECRET],
        SECRET,
    ],
)
def test_what_people_wrote_is_hidden_in_whatever_field_it_stands(message: object) -> None:
    value = json.dumps(message).encode()
    assert SECRET not in json.dumps(shown_message(value, private=False))
    assert SECRET in json.dumps(shown_message(value, private=True))


def test_a_message_that_is_no_json_is_hidden_too() -> None:
    assert SECRET not in shown_message(b"\xff" + SECRET.encode(), private=False)
    assert SECRET in shown_message(b"\xff" + SECRET.encode(), private=True)


def test_what_says_nothing_of_people_is_shown_and_a_token_never_whole() -> None:
    token = "50bdc1d9-f160-4f9b-b0ef-1c15286ef302"
    value = json.dumps({"token": token, "turn": "m-1", "error": "model_timeout", "sent_at": 1.5}).encode()
    for private in (False, True):
        shown = shown_message(value, private=private)
        assert (shown["turn"], shown["error"], shown["sent_at"]) == ("m-1", "model_timeout", 1.5)
        assert token not in json.dumps(shown)


def test_of_an_error_only_its_kind_is_shown() -> None:
    error = f"ValueError: cannot parse {SECRET!r}"
    assert shown_error(error, private=False) == "ValueError: …"
    assert shown_error(error, private=True) == error
