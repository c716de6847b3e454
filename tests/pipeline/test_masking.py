"""Masking: no secret and no control character gets into a log, whatever stands around it."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from pipeline.masking import (
    clean,
    clean_line,
    is_invisible,
    mask_secrets,
    mask_url,
    remember_secrets,
    secrets_of_environment,
    secrets_of_url,
)

TOKEN = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    "text",
    [
        "GET /refresh_token?token={}&q=a b HTTP/1.1",
        "session:{{{}}}",
        "%7B{}%7D",
        "token%3D{}",
        "'token': '{}'",
        '{{"token":"{}"}}',
        '\\"token\\": \\"{}\\"',
        "Sec-WebSocket-Protocol: parley.v1, token.{}",
        "Authorization: Bearer {}",
        "b'{}'",
        "/odd/{}/path",
        "{}",
    ],
)
@pytest.mark.parametrize("token", [TOKEN, TOKEN.upper()])
def test_a_session_token_is_masked_wherever_it_stands(text: str, token: str) -> None:
    masked = mask_secrets(text.format(token))
    assert token[9:] not in masked
    assert token[8:12] not in masked


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-ghi", "abc.def"),
        ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("{'Authorization': 'Bearer opensesame'}", "opensesame"),
        ("key hf_AbCdEfGhIjKlMnOp is wrong", "IjKlMnOp"),
        ("Incorrect API key provided: sk-proj-1234567890abcdef.", "67890abcdef"),
        ("redis://ada:open@sesame@db:6379/0", "sesame"),
        ("http://opensesame@model/v1", "opensesame"),
        ("https://x/v1?api_key=opensesame&b=1", "opensesame"),
        ("https://x/v1?key=opensesame", "opensesame"),
        ("password=opensesame", "opensesame"),
        ("'password': 'opensesame'", "opensesame"),
        ("X-Api-Key: opensesame", "opensesame"),
        ("Cookie: opensesame=1", "opensesame"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, secret: str) -> None:
    assert secret not in mask_secrets(text)


@pytest.mark.parametrize(
    "text", ["Ready", "took 3 s", "token: none was given"[:5], "key session:{", "a@b.example"]
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert mask_secrets(text) == text


def test_a_secret_of_the_settings_is_masked_in_every_spelling() -> None:
    secret = 'pa"ss/wörd\\+%'
    remember_secrets([secret])
    for spelled in (secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)):
        assert "wörd" not in mask_secrets(f"x {spelled} y")
        assert "\\u00f6rd" not in mask_secrets(f"x {spelled} y")
    for spelled in (quote(secret, safe=""), quote(secret)):
        assert spelled not in mask_secrets(f"x {spelled} y")


def test_what_was_masked_before_is_left_alone() -> None:
    once = mask_secrets(f"token={TOKEN} redis://u:p@h password=secret")
    assert mask_secrets(once) == once


@pytest.mark.parametrize(
    "piece", ["a", "a_", "a-", "://", "token=", "token", '\\"', "Bearer ", "hf_", "0f8fad5b-", "x@"]
)
def test_masking_a_long_line_of_a_stranger_takes_milliseconds(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    begun = time.process_time()
    mask_secrets(text)
    assert time.process_time() - begun < 0.5


def test_control_and_bidi_characters_are_spelled_out() -> None:
    assert clean("a\x1b[31mb\u202ec\x9bd") == "a\\x1b[31mb\\u202ec\\x9bd"
    assert clean("line\n\tnext") == "line\n\tnext"
    assert clean_line("line\n2026 faked") == "line\\x0a2026 faked"


def test_secrets_of_a_url_are_its_password_and_its_keys() -> None:
    assert secrets_of_url("http://ada:p%40ss@h/v1?api_key=k1&page=2") == ["p%40ss", "p@ss", "k1", "k1"]
    assert secrets_of_url("http://key@h/") == ["key", "key"]
    assert secrets_of_url("http://h/v1") == []
    assert mask_url("http://ada:p%40ss@h/v1?api_key=k1") == "http://ada:…@h/v1?api_key=…"


def test_secrets_of_the_environment_are_those_of_exporters_and_proxies() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=first%20key,authorization=Basic second",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://ada:third@collector",
        "https_proxy": "http://ada:fourth@proxy:3128",
        "PATH": "/bin?key=fifth",
    }
    assert secrets_of_environment(environment) == [
        *("first key", "Basic second", "third", "third", "fourth", "fourth")
    ]


@pytest.mark.parametrize("name", ["", " ", "\0", "\u200b\u202e", "\u3164", "\u200d"])
def test_some_names_show_nothing(name: str) -> None:
    assert is_invisible(name)
    assert not is_invisible(f"{name}a")
