"""Stand-ins for the network: a relay that can go deaf, and a proxy that has the service below a path."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import WSMsgType, hdrs, web


class Relay:
    """A TCP relay on a free port; deaf, it takes connections and data as before, and passes nothing on.

    Attributes:
        port: where it listens.
        connections: how many it took so far.
    """

    def __init__(self, target: int) -> None:
        """Take the port to which it passes on."""
        self.port = 0
        self.connections = 0
        self._target = target
        self._hears = asyncio.Event()
        self._hears.set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address of the service behind it."""
        return f"http://127.0.0.1:{self.port}"

    def go_deaf(self) -> None:
        """Hold back from now on what either side sends."""
        self._hears.clear()

    def hear_again(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._hears.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await self._hears.wait()
        there, to_there = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, to_there))
                group.create_task(self._pump(there, writer))
        except* OSError:
            pass
        finally:
            to_there.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._hears.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()


class PathProxy:
    """A reverse proxy on a free port that has a service below a path, and nothing elsewhere."""

    def __init__(self, target: str, path: str, *, strips: bool) -> None:
        """Take the service's address and the path, as `/parley`; `strips` is not to pass the path on."""
        self._target = target
        self._path = path
        self._strips = strips

    @property
    def url(self) -> str:
        """The address of the service behind it, with a slash at its end."""
        return f"http://127.0.0.1:{self._port}{self._path}/"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", self._path + "/{rest:.*}", self._pass_on)
        self._client = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()
        await self._runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs.removeprefix(self._path) if self._strips else request.path_qs
        headers = {name: value for name, value in request.headers.items() if name not in _OF_THE_HOP}
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await self._pass_on_socket(request, self._target + path, headers)
        body = await request.read()
        async with self._client.request(
            request.method, self._target + path, headers=headers, data=body, allow_redirects=False
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name not in _OF_THE_HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    async def _pass_on_socket(
        self, request: web.Request, url: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        protocols = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(", ")
        headers = {name: value for name, value in headers.items() if not name.startswith("Sec-WebSocket")}
        async with self._client.ws_connect(url, protocols=protocols, headers=headers) as there:
            here = web.WebSocketResponse(protocols=protocols)
            await here.prepare(request)
            await asyncio.wait(
                {asyncio.create_task(_copy(here, there)), asyncio.create_task(_copy(there, here))},
                return_when=asyncio.FIRST_COMPLETED,
            )
            await here.close()
        return here


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse

_OF_THE_HOP = {hdrs.CONNECTION, hdrs.UPGRADE, hdrs.TRANSFER_ENCODING, hdrs.CONTENT_LENGTH}


async def _copy(source: _Socket, target: _Socket) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
