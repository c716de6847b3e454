"""Options: read from the URL or a call, refused by name when wrong, and described as the code has them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import faust
import pytest

from faust_redis import OptionError, Options, configure, options_of
from faust_redis.options import REFERENCE, read_options

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/options.md"


def app_at(broker: str = "redis://localhost", **settings: Any) -> faust.App:
    return faust.App("shop", broker=broker, web_enabled=False, **settings)


def read(query: str) -> Options:
    return read_options(app_at(), [f"redis://localhost/0?{query}"])[0]


def test_without_a_word_all_are_defaults() -> None:
    assert read_options(app_at(), ["redis://localhost/0"]) == (Options(), ["redis://localhost/0"])


def test_the_url_sets_options_of_every_type() -> None:
    options = read("attempts=3&backoff=0.1,1,5&namespace=shop&fast_path=false&dead_letter_age=3600")

    assert options == Options(
        attempts=3, backoff=(0.1, 1, 5), namespace="shop", fast_path=False, dead_letter_age=3600
    )


def test_queries_of_redis_py_still_go_to_redis_py() -> None:
    address = (
        "rediss://user:p%40ss@localhost:6380/2?ssl_ca_certs=/etc/ca.pem&attempts=3&health_check_interval=5"
    )

    _, (plain,) = read_options(app_at(), [address])

    assert plain == "rediss://user:p%40ss@localhost:6380/2?ssl_ca_certs=/etc/ca.pem&health_check_interval=5"


def test_a_call_beats_the_url_only_where_it_names_an_option() -> None:
    app = app_at()
    configure(app, Options(attempts=5))

    options, _ = read_options(app, ["redis://localhost/0?attempts=3&namespace=shop"])

    assert (options.attempts, options.namespace) == (5, "shop")
    assert options_of(app) == options


def test_a_call_after_the_app_has_read_its_options_is_refused() -> None:
    app = app_at()
    read_options(app, ["redis://localhost"])

    with pytest.raises(OptionError, match="before"):
        configure(app, Options())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempts", 0),
        ("attempts", True),
        ("attempts", "3"),
        ("attempts", 2.5),
        ("backoff", ()),
        ("backoff", (1.0, -1.0)),
        ("backoff", (float("nan"),)),
        ("backoff", 1.0),
        ("take_overs", 1),
        ("dead_letter_age", float("inf")),
        ("namespace", "a{b}"),
        ("namespace", "a:b"),
        ("block_ms", 5_001),
        ("fast_path", 1),
        ("ack_batch", 100_000),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(OptionError) as refused:
        Options(**{name: value})

    assert refused.value.option == name
    assert name in str(refused.value)
    assert REFERENCE[name].allowed in str(refused.value)


@pytest.mark.parametrize(
    "query", ["attempts=many", "backoff=1,x", "fast_path=perhaps", "attempts=", "backoff="]
)
def test_a_wrong_text_in_the_url_is_refused_by_name(query: str) -> None:
    name, _, text = query.partition("=")

    with pytest.raises(OptionError, match=re.escape(f"option {name}={text!r}")):
        read(query)


def test_the_value_of_an_unknown_name_is_not_repeated_because_it_may_be_a_secret() -> None:
    with pytest.raises(OptionError, match="did you mean sentinel_password") as caught:
        read("sentinel_pasword=Hunter22")
    assert "Hunter22" not in str(caught.value) + repr(caught.value)


def test_an_unknown_name_in_the_url_is_refused_with_the_one_probably_meant() -> None:
    with pytest.raises(OptionError, match="did you mean attempts"):
        read("atempts=3")
    with pytest.raises(OptionError, match="did you mean ssl_ca_certs"):
        read("ssl_ca_cert=/etc/ca.pem")


def test_two_addresses_of_one_broker_may_not_disagree() -> None:
    nodes = ["redis+cluster://a?attempts=3", "redis+cluster://b?attempts=4"]

    with pytest.raises(OptionError, match="attempts"):
        read_options(app_at(), nodes)


def test_a_block_longer_than_half_a_session_is_refused() -> None:
    with pytest.raises(OptionError, match="broker_session_timeout"):
        read_options(app_at(broker_session_timeout=3.0), ["redis://localhost?block_ms=2000"])


def test_the_broker_refuses_a_wrong_option_when_it_is_made() -> None:
    with pytest.raises(OptionError, match="attempts"):
        _ = app_at("redis://localhost?attempts=0").transport


def test_every_option_is_described() -> None:
    names = [field.name for field in dataclasses.fields(Options)]

    assert names == list(REFERENCE)
    documented = Options.__doc__ or ""
    assert all(f"        {name}: " in documented for name in names)


def test_the_table_in_the_documents_is_that_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    for name, reference in REFERENCE.items():
        default = getattr(Options(), name)
        row = f"| `{name}` | {shown(default)} | {reference.unit}; {reference.allowed} "
        row += f"| {reference.smaller} | {reference.larger} |"
        assert row in text, f"docs/options.md lacks: {row}"


def shown(value: Any) -> str:
    """Return a default as the table shows it."""
    if isinstance(value, tuple):
        return "`" + ",".join(f"{each:g}" for each in value) + "`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:.10g}`"
    return f"`{value}`" if value != "" else "empty"
