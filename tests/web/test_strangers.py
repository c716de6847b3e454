"""Hosts, origins, the admin token and private pages: who gets in, and what the log holds of the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from pipeline.edge.addresses import WIDE_FACTOR
from pipeline.edge.attempts import ATTEMPT_SECONDS, ATTEMPTS
from pipeline.errors import SettingsError
from pipeline.hosts import Hosts, listens_beyond_loopback
from pipeline.settings import Settings
from pipeline.telemetry.refusals import REFUSED
from tests.web.conftest import ADMIN, BEARER, Node, ServeNode
from web.app import warn_of_strangers
from web.http import admin


async def status(node: Node, path: str, method: str = "GET", **headers: str) -> int:
    """Return the status of a request."""
    async with node.http.request(method, path, headers=headers) as response:
        assert response.headers["Server"] == "parley"
        await response.read()
        return response.status


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:3500", "127.0.0.1:3500", "[::1]:3500", "10.0.0.7", "a.localhost", "localhost."],
)
def test_loopback_names_and_addresses_are_allowed(host: str) -> None:
    assert Hosts(Settings()).allows(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil.example:3500", "", "127.0.0.1.evil"]
)
def test_other_names_are_not(host: str) -> None:
    assert not Hosts(Settings()).allows(host)


def test_settings_add_names() -> None:
    hosts = Hosts(
        Settings(
            allowed_hosts="Chat.Example.com,.example.org", public_url="https://out.example:8443/p", host="box"
        )
    )
    for name in ("chat.example.com:3500", "a.example.org", "out.example:8443", "box"):
        assert hosts.allows(name)
    assert not hosts.allows("example.org.evil")
    assert Hosts(Settings(allowed_hosts="*")).allows("evil.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_hosts", "https://chat.example.com"),
        ("allowed_hosts", "a b"),
        ("public_url", "chat.example.com"),
        ("public_url", "https://chat.example.com?x=1"),
        ("admin_token", "fifteen-letters"),
    ],
)
def test_wrong_values_are_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name.upper()):
        Settings.load(**{name: value})


async def test_a_page_of_another_name_gets_nothing_however_it_points_here(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    for method, path in (("GET", "/"), ("POST", "/token?name=Eve"), ("GET", "/chat"), ("GET", "/api/stages")):
        assert await status(node, path, method, **rebound) == 421
    assert await status(node, "/healthz", **rebound) == 200
    assert REFUSED["host"] == 4
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "evil.example" in line]
    assert "ALLOWED_HOSTS" in line


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_foreign_page_changes_nothing(node: Node, method: str, origin: str) -> None:
    path = "/session?token=0f8fad5b-d9cb-469f-a165-70867728950e" if method == "DELETE" else "/token?name=Eve"
    assert await status(node, path, method, Origin=origin) == 403
    assert REFUSED["origin"] == 1


async def test_our_own_page_and_programs_may(serve: ServeNode) -> None:
    node = await serve(public_url="https://chat.example.com/parley")
    for headers in ({}, {"Origin": node.client.url}, {"Origin": "https://chat.example.com"}):
        assert await status(node, "/token?name=Ada", "POST", **headers) == 200
    assert await status(node, "/token?name=Ada", "POST", Origin="https://chat.example.com:444") == 403


async def test_guesses_of_the_admin_token_are_limited_and_logged(
    serve: ServeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(admin, "WRONG_TOKEN_DELAY", 0)
    node = await serve(admin_token=ADMIN)
    guesses = [await status(node, "/api/stages/access", Authorization=f"Bearer guess-{n}") for n in range(15)]
    assert guesses == [403] * ATTEMPTS + [429] * (15 - ATTEMPTS)
    async with node.http.get("/api/stages/access", headers=BEARER) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) <= ATTEMPT_SECONDS
    assert REFUSED["admin_token"] == ATTEMPTS
    text = capsys.readouterr().out
    assert text.count("wrong admin token refused") == 1
    assert "guess-" not in text


async def test_guesses_at_once_count_each(serve: ServeNode) -> None:
    node = await serve(admin_token=ADMIN)
    guesses = await asyncio.gather(
        *(status(node, "/api/stages/access", Authorization=f"Bearer guess-{n}") for n in range(30))
    )
    assert guesses.count(403) == ATTEMPTS


async def test_what_an_admin_does_is_in_the_log(serve: ServeNode, capsys: pytest.CaptureFixture[str]) -> None:
    node = await serve(admin_token=ADMIN)
    for action in ("replay", "drop"):
        path = f"/api/stages/dead/{action}"
        async with node.http.post(path, json={"id": "infer:0:1-0"}, headers=BEARER) as response:
            assert response.status == 404
        assert await status(node, path, "POST") == 403
    text = capsys.readouterr().out
    assert text.count("admin action") == 2
    assert "admin request refused" in text


@pytest.mark.parametrize(
    "path", ["/metrics", "/stages", "/stages/main.js", "/api/stages", "/api/stages/access"]
)
async def test_private_pages_are_closed_to_strangers_alone(serve: ServeNode, path: str) -> None:
    stranger: dict[str, Any] = {"X-Forwarded-For": "192.0.2.1"}
    settings = {"admin_token": ADMIN, "trusted_proxies": "127.0.0.1"}
    node = await serve(**settings)
    assert await status(node, path, **stranger) == 403
    assert await status(node, path, **stranger, **BEARER) == 200
    assert await status(node, path) == 200  # from this machine itself
    assert await status(node, "/", **stranger) == 200
    assert await status(node, "/healthz", **stranger) == 200
    node = await serve(public_pages=True)
    assert await status(node, path, **stranger) == 200


@pytest.mark.parametrize(
    ("settings", "headers", "expected"),
    [
        ({}, {}, 403),
        ({"bind": "192.0.2.1"}, {}, 403),
        ({"bind": "127.0.0.1"}, {}, 200),
        ({"bind": "127.0.0.1"}, {"X-Forwarded-For": "203.0.113.9"}, 403),
        ({"bind": "127.0.0.1"}, {"Via": "1.1 proxy"}, 403),
        ({"bind": "127.0.0.1", "public_pages": False}, {}, 200),
        ({"public_pages": True}, {"X-Forwarded-For": "203.0.113.9"}, 200),
    ],
)
async def test_in_a_container_the_pages_are_open_where_its_port_is_published_on_the_loopback(
    serve: ServeNode,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    headers: dict[str, str],
    expected: int,
) -> None:
    monkeypatch.setattr(web.BaseRequest, "remote", property(lambda _: "172.18.0.1"))  # the gateway
    node = await serve(**settings)
    assert await status(node, "/stages", **headers) == expected
    assert await status(node, "/healthz", **headers) == 200


async def test_guesses_from_the_networks_of_one_customer_count_together(
    serve: ServeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "WRONG_TOKEN_DELAY", 0)
    node = await serve(admin_token=ADMIN, trusted_proxies="127.0.0.1")
    guesses = [
        await status(
            node,
            "/api/stages/access",
            Authorization="Bearer guess-of-a-token",
            **{"X-Forwarded-For": f"2001:db8:0:{net:x}::1"},
        )
        for net in range(200)
    ]
    assert guesses.count(403) == ATTEMPTS * WIDE_FACTOR
    elsewhere = {"X-Forwarded-For": "2001:db8:1::1"}
    assert await status(node, "/api/stages/access", **BEARER, **elsewhere) == 200


@pytest.mark.parametrize(
    ("host", "beyond"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("::", True), ("192.0.2.1", True)],
)
def test_who_can_reach_a_server_is_known(host: str, beyond: bool) -> None:
    assert listens_beyond_loopback(host) is beyond


def test_what_is_missing_is_logged_when_other_machines_can_reach_the_service(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warn_of_strangers(Settings(host="192.0.2.1", address_token_rate="0"))
    text = capsys.readouterr().out
    assert "ADMIN_TOKEN" in text
    assert "ADDRESS_TOKEN_RATE" in text
    assert "'MESSAGE_RATE'" not in text
    warn_of_strangers(Settings(host="127.0.0.1"))
    assert capsys.readouterr().out == ""


async def test_private_pages_are_closed_below_a_path_too(serve: ServeNode) -> None:
    settings = {"trusted_proxies": "127.0.0.1", "base_path": "/parley"}
    node = await serve(**settings)
    assert await status(node, "/parley/metrics", **{"X-Forwarded-For": "192.0.2.1"}) == 403
    assert await status(node, "/parley/healthz", Host="evil.example") == 200
    assert await status(node, "/parley/", **{"X-Forwarded-For": "192.0.2.1"}) == 200
