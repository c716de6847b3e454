"""Behind a proxy, as `deploy/nginx` and `deploy/caddy` set it up, with the real servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from faust_redis.testing import eventually
from parley.local.ports import free_port
from pipeline.telemetry.refusals import REFUSED
from tests.web.conftest import NAME, Node, ServeNode, frame

DEPLOY = Path(__file__).parents[2] / "deploy"


def missing(program: str) -> bool:
    """Return whether a server is absent; in CI that is a failure and not a reason to skip."""
    return shutil.which(program) is None and "CI" not in os.environ


PROXIES = [
    pytest.param(program, marks=pytest.mark.skipif(missing(program), reason=f"{program} is not installed"))
    for program in ("nginx", "caddy")
]
CHAINS = [
    pytest.param(
        *chain, marks=pytest.mark.skipif(any(map(missing, chain)), reason="one of the two is not installed")
    )
    for chain in (("nginx", "caddy"), ("caddy", "nginx"))
]


@dataclass(frozen=True)
class Shape:
    """How a proxy differs from the files of `deploy`.

    Attributes:
        path: the path below which it has the service.
        host: the Host that it sends on, empty for the client's.
        address: where it listens.
        plain: whether it leaves TLS to another proxy before it.
        http2: whether it offers HTTP/2 to browsers.
        buffers: whether it collects what it passes on, as proxies do unless they are told otherwise.
    """

    path: str = ""
    host: str = ""
    address: str = "127.0.0.1"
    plain: bool = False
    http2: bool = False
    buffers: bool = False

    @property
    def listens_at(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address


class Proxy:
    """A running proxy, as a client sees it."""

    def __init__(self, port: int, certificate: Path, shape: Shape) -> None:
        scheme = "http" if shape.plain else "https"
        self.url = f"{scheme}://{NAME}:{port}{shape.path}"
        self.origin = f"{scheme}://{NAME}:{port}"
        self.target = f"{shape.listens_at}:{port}"
        self._address = shape.address
        self._context = ssl.create_default_context(cafile=str(certificate))

    @contextlib.asynccontextmanager
    async def client(self, address: str = "") -> AsyncIterator[aiohttp.ClientSession]:
        """A client that comes from an address of the loopback."""
        connector = aiohttp.TCPConnector(
            ssl=self._context,
            resolver=_Here(self._address),
            local_addr=(address or self._address, 0),
            force_close=True,
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    async def token(self, session: aiohttp.ClientSession) -> str:
        """Return the token of a new session."""
        headers = {"Origin": self.origin}
        async with session.post(f"{self.url}/token", params={"name": "Ada"}, headers=headers) as response:
            body: dict[str, Any] = await response.json()
            assert response.status == 200, body
            return str(body["token"])


class _Here(aiohttp.abc.AbstractResolver):
    """Finds every name on this machine."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        found = {"hostname": host, "host": self._address, "port": port, "family": family}
        return [{**found, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing to close."""


@contextlib.asynccontextmanager
async def proxied(
    program: str,
    target: str,
    certificate: tuple[Path, Path],
    folder: Path,
    shape: Shape = Shape(),
    *,
    port: int = 0,
) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a web process, from the files of `deploy` with other ports and names."""
    port = port or free_port()
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    write = _nginx if program == "nginx" else _caddy
    command = write(folder, port, target, certificate, shape)
    log = folder / "proxy.log"
    with log.open("wb") as output:
        environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, cwd=folder, env=environment
        )
    proxy = Proxy(port, certificate[0], shape)
    try:
        async with proxy.client() as session:

            async def ready() -> bool:
                assert process.returncode is None, log.read_text(errors="replace")
                with contextlib.suppress(aiohttp.ClientConnectorError):
                    async with session.get(f"{proxy.url}/test") as response:
                        return response.status == 200
                return False

            await eventually(ready, f"{program} serves")
        yield proxy
    finally:
        process.terminate()
        await process.wait()


def _nginx(folder: Path, port: int, target: str, certificate: tuple[Path, Path], shape: Shape) -> list[str]:
    server = (DEPLOY / "nginx" / "parley.conf").read_text("utf-8")
    snippet = (DEPLOY / "nginx" / "parley-proxy.conf").read_text("utf-8")
    secure = "" if shape.plain else " ssl http2" if shape.http2 else " ssl"
    for old, new in (
        ("listen 443 ssl", f"listen {shape.listens_at}:{port}{secure}"),
        ("server 127.0.0.1:3500", f"server {target}"),
        ("/etc/ssl/certs/chat.example.com.pem", str(certificate[0])),
        ("/etc/ssl/private/chat.example.com.key", str(certificate[1])),
        ("/var/log/nginx/parley.log", str(folder / "access.log")),
    ):
        assert old in server, old
        server = server.replace(old, new)
    if shape.path:
        begin = server.index("    # location /parley/")
        server = server[:begin] + server[begin:].replace("    # ", "    ").replace(
            "/parley/ {", f"{shape.path}/ {{"
        )
    if shape.host:
        assert "$http_host" in snippet
        snippet = snippet.replace("$http_host", shape.host)
    if shape.buffers:
        assert "proxy_buffering    off;" in snippet
        snippet = snippet.replace("proxy_buffering    off;", "")
    (folder / "snippets").mkdir()
    (folder / "snippets" / "parley-proxy.conf").write_text(snippet, "utf-8")
    (folder / "parley.conf").write_text(server, "utf-8")
    temporary = "".join(
        f"{each}_temp_path {folder}/{each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ {temporary} include {folder}/parley.conf; }}\n",
        "utf-8",
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _caddy(folder: Path, port: int, target: str, certificate: tuple[Path, Path], shape: Shape) -> list[str]:
    file = (DEPLOY / "caddy" / "Caddyfile").read_text("utf-8")
    proxy = "\treverse_proxy 127.0.0.1:3500 {"
    scheme, tls = ("http", "") if shape.plain else ("https", f"\ttls {certificate[0]} {certificate[1]}\n")
    site = f"{scheme}://{NAME}:{port} {{\n\tbind {shape.listens_at}\n{tls}"
    for old, new in (
        ("{\n\tservers", "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers"),
        ("chat.example.com {\n", site),
        (proxy, proxy.replace("127.0.0.1:3500", target)),
    ):
        assert old in file, old
        file = file.replace(old, new, 1)
    if shape.path:
        begin = file.index("\treverse_proxy")
        file = f"{file[:begin]}\thandle_path {shape.path}/* {{\n{file[begin:].rstrip()[:-1]}\t}}\n}}\n"
    if shape.host:
        file = file.replace("\t\tflush_interval", f"\t\theader_up Host {shape.host}\n\t\tflush_interval")
    if shape.buffers:
        assert "flush_interval -1" in file
        file = file.replace("flush_interval -1", "")
    if shape.plain:
        file = file.replace("\t\t# trusted_proxies", "\t\ttrusted_proxies")
    (folder / "Caddyfile").write_text(file, "utf-8")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


async def opens(proxy: Proxy, held: contextlib.AsyncExitStack, address: str, **headers: str) -> int:
    """Open a socket from an address and leave it open; return the status."""
    async with proxy.client(address) as session:
        chat = f"{proxy.url}/chat?token={await proxy.token(session)}"
        try:
            opened = await session.ws_connect(chat, headers=headers)
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status
        await held.enter_async_context(opened)
        held.push_async_callback(session.close)
        session._connector = None  # the socket outlives this block
        return 101


async def talks_through(proxy: Proxy, node: Node) -> None:
    """Open the page and a socket, say something, and receive frames one by one."""
    async with proxy.client() as session:
        async with session.get(f"{proxy.url}/") as response:
            assert response.status == 200
            assert response.headers["X-Frame-Options"] == "DENY"
        token = await proxy.token(session)
        offers = ("parley.v1", f"token.{token}")
        headers = {"Origin": proxy.origin}
        async with session.ws_connect(f"{proxy.url}/chat", protocols=offers, headers=headers) as socket:
            await node.joined(token)
            await socket.send_json({"type": "message", "id": "m1", "text": "Hello"})
            await eventually(lambda: node.intake.texts == ["Hello"], "the message arrives")
            # Each frame is there before the next one is sent: nothing on the way collects them.
            for number in range(5):
                await node.publish(token, frame(number))
                async with asyncio.timeout(30):
                    types = [(await socket.receive_json())["type"] for _ in range(3)]
                assert types == ["start", "token", "message"]


@pytest.mark.parametrize("program", PROXIES)
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Shape(), id="TLS"),
        pytest.param(Shape(path="/parley"), id="below a path"),
        pytest.param(Shape(buffers=True), id="with buffers"),
        pytest.param(Shape(http2=True), id="HTTP/2"),
        pytest.param(Shape(address="::1"), id="IPv6"),
        pytest.param(Shape(host="parley"), id="another Host"),
    ],
)
async def test_pages_sockets_and_streams_pass(
    serve: ServeNode, certificate: tuple[Path, Path], tmp_path: Path, program: str, shape: Shape
) -> None:
    port = free_port()
    settings = {"trusted_proxies": "127.0.0.1", "allowed_hosts": f"{NAME},parley"}
    node = await serve(public_url=f"https://{NAME}:{port}{shape.path}", **settings)
    target = node.client.url.removeprefix("http://")
    async with proxied(program, target, certificate, tmp_path, shape, port=port) as proxy:
        await talks_through(proxy, node)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("program", PROXIES)
async def test_the_page_is_served_by_http2(
    serve: ServeNode, certificate: tuple[Path, Path], tmp_path: Path, program: str
) -> None:
    node = await serve(trusted_proxies="127.0.0.1", public_url=f"https://{NAME}")
    target, shape = node.client.url.removeprefix("http://"), Shape(http2=True)
    async with proxied(program, target, certificate, tmp_path, shape) as proxy:
        place = f"{NAME}:{proxy.target.rpartition(':')[2]}:127.0.0.1"
        asked = (
            "--http2",
            "--cacert",
            str(certificate[0]),
            "--resolve",
            place,
            "-s",
            "-o",
            str(tmp_path / "page"),
        )
        curl = await asyncio.create_subprocess_exec(
            "curl",
            *asked,
            "-w",
            "%{http_version} %{http_code}",
            f"{proxy.url}/",
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await curl.communicate()
    assert said == b"2 200"
    assert b"<title>Parley</title>" in (tmp_path / "page").read_bytes()


@pytest.mark.parametrize(("outer", "inner"), CHAINS)
async def test_behind_two_proxies_clients_count_by_their_own_addresses(
    serve: ServeNode, certificate: tuple[Path, Path], tmp_path: Path, outer: str, inner: str
) -> None:
    node = await serve(trusted_proxies="127.0.0.1", public_url=f"https://{NAME}", sockets_per_address="1")
    target = node.client.url.removeprefix("http://")
    async with (
        proxied(inner, target, certificate, tmp_path / "inner", Shape(plain=True)) as second,
        proxied(outer, second.target, certificate, tmp_path / "outer") as first,
        contextlib.AsyncExitStack() as held,
    ):
        assert await opens(first, held, "127.0.0.2") == 101
        assert await opens(first, held, "127.0.0.3") == 101
        assert await opens(first, held, "127.0.0.2") == 429
        assert await opens(first, held, "127.0.0.2", **{"X-Forwarded-For": "192.0.2.9"}) == 429


@pytest.mark.parametrize("program", PROXIES)
async def test_clients_count_by_their_own_addresses_and_cannot_lie(
    serve: ServeNode, certificate: tuple[Path, Path], tmp_path: Path, program: str
) -> None:
    node = await serve(trusted_proxies="127.0.0.1", public_url=f"https://{NAME}", sockets_per_address="1")
    target = node.client.url.removeprefix("http://")
    async with (
        proxied(program, target, certificate, tmp_path) as proxy,
        contextlib.AsyncExitStack() as held,
    ):
        assert await opens(proxy, held, "127.0.0.2") == 101
        assert await opens(proxy, held, "127.0.0.3") == 101
        assert await opens(proxy, held, "127.0.0.2") == 429
        assert await opens(proxy, held, "127.0.0.2", **{"X-Forwarded-For": "192.0.2.9"}) == 429


@pytest.mark.skipif(missing("nginx"), reason="nginx is not installed")
@pytest.mark.parametrize("host", ["$host", "parley"])
async def test_a_proxy_that_rewrites_the_host_is_named_in_the_log_and_public_url_mends_it(
    serve: ServeNode,
    certificate: tuple[Path, Path],
    tmp_path: Path,
    host: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = {"trusted_proxies": "127.0.0.1", "allowed_hosts": f"{NAME},parley"}
    port = free_port()
    for number, mending in enumerate(({}, {"public_url": f"https://{NAME}:{port}"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        node = await serve(**settings, **mending)
        target = node.client.url.removeprefix("http://")
        async with (
            proxied("nginx", target, certificate, folder, Shape(host=host), port=port) as proxy,
            proxy.client() as session,
        ):
            chat, headers = f"{proxy.url}/chat?token={await node.client.token()}", {"Origin": proxy.origin}
            if mending:
                async with session.ws_connect(chat, headers=headers):
                    continue
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(chat, headers=headers)
            assert refused.value.status == 403
            assert REFUSED["origin"] == 1
    assert "PUBLIC_URL" in capsys.readouterr().out
