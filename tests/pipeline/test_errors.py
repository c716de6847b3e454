"""Errors: each is one line, and shows no secret."""

from __future__ import annotations

import pytest

from pipeline.errors import EmbeddedRedisError, ModelError, ParleyError, SettingsError, mask


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SettingsError("PORT", "x", "a number"), "PORT holds 'x'; allowed: a number"),
        (SettingsError("PORT", None, "a number"), "PORT is not set; allowed: a number"),
        (
            EmbeddedRedisError("none runs", ("try this", "try that")),
            "none runs; ways out: try this, or try that",
        ),
        (EmbeddedRedisError("none runs"), "none runs"),
        (ModelError("model_loading", "wait a little", True, 503), "model_loading: wait a little (HTTP 503)"),
        (ModelError("model_timeout", "no answer", True), "model_timeout: no answer"),
    ],
)
def test_an_error_is_one_line(error: ParleyError, text: str) -> None:
    assert str(error) == text


def test_a_mask_never_shows_all_of_a_short_secret() -> None:
    assert mask("abcd") == "ab…"
    assert mask("") == "…"
