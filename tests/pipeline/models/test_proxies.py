"""Which proxy a request goes through."""

from __future__ import annotations

import pytest
from yarl import URL

from pipeline.models.proxies import proxy_for

PROXIES = {
    "HTTP_PROXY": "http://plain:3128",
    "HTTPS_PROXY": "http://me:pw@secure:3128",
    "NO_PROXY": "quiet.example",
}


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://models.example/v1", PROXIES, "http://plain:3128"),
        ("https://models.example/v1", PROXIES, "http://me:pw@secure:3128"),
        ("https://models.example/v1", {}, None),
        ("https://models.example/v1", {"ALL_PROXY": "proxy:8080"}, "http://proxy:8080"),
        ("https://models.example/v1", {"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "http://a"),
        ("http://127.0.0.1:8080/v1", PROXIES, None),
        ("http://127.3.2.1:8080/v1", PROXIES, None),
        ("http://[::1]:8080/v1", PROXIES, None),
        ("http://localhost:8080/v1", PROXIES, None),
        ("http://models.localhost/v1", PROXIES, None),
        ("http://quiet.example/v1", PROXIES, None),
        ("http://very.quiet.example/v1", PROXIES, None),
        ("http://unquiet.example/v1", PROXIES, "http://plain:3128"),
        ("http://a.example/v1", {**PROXIES, "NO_PROXY": "*"}, None),
        ("http://a.b.example/v1", {**PROXIES, "NO_PROXY": "x, .b.example"}, None),
        ("http://a.b.example/v1", {**PROXIES, "NO_PROXY": "*.b.example"}, None),
        ("http://10.1.2.3/v1", {**PROXIES, "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/v1", {**PROXIES, "NO_PROXY": "10.0.0.0/8"}, "http://plain:3128"),
        ("http://a.example:8080/v1", {**PROXIES, "NO_PROXY": "a.example:8080"}, None),
        ("http://a.example:8081/v1", {**PROXIES, "NO_PROXY": "a.example:8080"}, "http://plain:3128"),
    ],
)
def test_the_environment_and_the_host_decide(
    url: str, environment: dict[str, str], proxy: str | None
) -> None:
    assert proxy_for(URL(url), environment) == (None if proxy is None else URL(proxy))


@pytest.mark.parametrize("value", ["socks5://proxy:1080", "http://", "http://a:port"])
def test_a_proxy_that_is_none_is_refused_by_the_name_of_its_variable(value: str) -> None:
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY$"):
        proxy_for(URL("https://models.example/v1"), {"HTTPS_PROXY": value})
