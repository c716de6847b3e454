"""WebSocket chats that are not Parley, tested by a description."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from parley.loadtest.description import Description, DescriptionError, frame_of
from parley.loadtest.generator import generate
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan
from tests.parley.loadtest.fake_service import Serve, Socket, fake_service

_OPEN = """
socket = "/chat?token={token}&room={session}"
hello = ["hello"]
send = { kind = "say", ref = "{id}", body = { text = "{text}" } }

[open]
path = "/token"
take = { token = "token" }

[answer]
when = { kind = "done" }
text = "body.text"
id = "ref"

[token]
when = { kind = "piece" }
text = "text"
id = "ref"

[error]
when = { kind = "sorry" }
text = "reason"
id = "ref"
"""
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "chainlit.toml"
_PLAIN = 'socket = "/chat?token={token}"\nsend = "{text}"\nopen = {path = "token", take = {token = "token"}}'

Reply = Callable[[Socket, int, str, str], Awaitable[None]]


def chat(reply: Reply) -> Serve:
    """Return a chat of other frames, which answers each message by `reply`."""

    async def serve(socket: Socket) -> None:
        assert await socket.socket.receive_str() == "hello"
        number = 0
        async for frame in socket.socket:
            number += 1
            found = orjson.loads(frame.data)
            assert found["kind"] == "say"
            await reply(socket, number, found["ref"], found["body"]["text"])

    return serve


async def say(socket: Socket, **frame: object) -> None:
    await socket.socket.send_str(orjson.dumps(frame).decode())


async def answer(socket: Socket, ref: str, text: str) -> None:
    await say(socket, kind="typing")
    await say(socket, kind="piece", ref=ref, text=text[:5])
    await say(socket, kind="piece", ref=ref, text=text[5:])
    await say(socket, kind="done", ref=ref, body={"text": text})


async def whole(socket: Socket, _number: int, ref: str, text: str) -> None:
    await answer(socket, ref, text)


async def only_pieces(socket: Socket, _number: int, ref: str, text: str) -> None:
    await say(socket, kind="piece", ref=ref, text=text)
    await say(socket, kind="done", ref=ref)


async def dropped(socket: Socket, number: int, ref: str, text: str) -> None:
    if number != 2:
        await answer(socket, ref, text)


async def doubled(socket: Socket, number: int, ref: str, text: str) -> None:
    for _ in range(1 + (number == 2)):
        await answer(socket, ref, text)


async def crossed(socket: Socket, number: int, ref: str, text: str) -> None:
    await answer(socket, ref, "[s999.1]" if number == 2 else text)


async def stalled(socket: Socket, number: int, ref: str, text: str) -> None:
    if number == 3:
        await say(socket, kind="piece", ref=ref, text=text)
        await asyncio.Event().wait()
    await answer(socket, ref, text)


async def measured(serve: Serve, text: str, place: Path) -> Measures:
    (place / "chat.toml").write_text(text)
    description = Description.read(place / "chat.toml").to_json()
    async with fake_service(serve) as service:
        plan = LoadPlan(
            service.url, "described", sessions=2, messages=3, duration=0.0, drain=0.3, echo=True,
            description=description,
        )  # fmt: skip
        return await generate(plan)


@pytest.mark.parametrize(
    ("reply", "faults"),
    [
        (whole, {}),
        (only_pieces, {}),
        (dropped, {"lost": 2}),
        (doubled, {"doubled": 2}),
        (crossed, {"crossed": 2}),
        (stalled, {"lost": 2}),
    ],
)
async def test_each_fault_of_a_described_service_is_named_and_none_is_invented(
    reply: Reply, faults: dict[str, int], tmp_path: Path
) -> None:
    measures = await measured(chat(reply), _OPEN, tmp_path)

    assert {name: count for name, count in asdict(measures.faults).items() if count} == faults
    assert not measures.problems
    assert measures.first_token.count >= 2


async def test_a_chat_of_raw_text_needs_two_lines(tmp_path: Path) -> None:
    async def serve(socket: Socket) -> None:
        async for frame in socket.socket:
            await socket.socket.send_str(f"You said {frame.data}")

    measures = await measured(serve, _PLAIN, tmp_path)

    assert (measures.answered, measures.faults.total) == (6, 0)


async def test_a_chat_of_socket_io_waits_until_it_is_ready_and_answers_its_pings(tmp_path: Path) -> None:
    """Frames as Chainlit 2.12 sends them; docs/examples/chainlit.toml is its description."""
    pongs: list[str] = []

    async def serve(socket: Socket) -> None:
        ws = socket.socket
        await ws.send_str('0{"sid":"x"}')
        assert (await ws.receive_str()).startswith('40{"clientType":"webapp","sessionId":"')
        await ws.send_str('40{"sid":"y"}')
        assert await ws.receive_str() == '42["connection_successful"]'
        await ws.send_str("2")
        async for frame in ws:
            if frame.data == "3":
                pongs.append(frame.data)
                continue
            event, data = orjson.loads(frame.data.removeprefix("42"))
            assert event == "client_message"
            text = data["message"]["output"]
            for event, body in (
                ("task_start", {}),
                ("stream_start", {"type": "assistant_message", "output": "You said: "}),
                ("stream_token", {"token": text}),
                ("update_message", {"type": "run", "output": ""}),
                ("update_message", {"type": "assistant_message", "output": f"You said: {text}"}),
            ):
                await ws.send_str("42" + orjson.dumps([event, body]).decode())

    described = EXAMPLE.read_text("utf-8").replace('"/ws/socket.io/?', '"/chat?token={token}&')
    described += '\n[open]\npath = "/token"\ntake = { token = "token" }\n'
    measures = await measured(serve, described, tmp_path)

    assert (measures.answered, measures.faults.total, measures.token_faults.total) == (6, 0, 0)
    assert not measures.problems
    assert pongs == ["3", "3"]


@pytest.mark.parametrize(
    ("pieces", "text", "differing", "doubled"),
    [
        (["{0}", " yes"], "{0} yes", 0, 0),
        (["{0}", "{0} yes"], "{0} yes", 0, 0),  # each piece holds all text so far
        (["{0}", " yes"], "{0} y", 6, 0),
        (["{0}", "{0}"], "", 0, 6),
    ],
)
async def test_an_answer_that_differs_from_its_pieces_is_a_fault(
    tmp_path: Path, pieces: list[str], text: str, differing: int, doubled: int
) -> None:
    async def reply(socket: Socket, _number: int, ref: str, sent: str) -> None:
        for piece in pieces:
            await say(socket, kind="piece", ref=ref, text=piece.format(sent))
        await say(socket, kind="done", ref=ref, body={"text": text.format(sent)})

    measures = await measured(chat(reply), _OPEN, tmp_path)
    assert measures.token_faults.differing == differing
    assert (measures.faults.doubled, measures.faults.total) == (doubled, doubled)


async def test_an_error_frame_is_an_error_by_its_code(tmp_path: Path) -> None:
    async def refuse(socket: Socket, _number: int, ref: str, _text: str) -> None:
        await say(socket, kind="sorry", ref=ref, reason="too_many")

    measures = await measured(chat(refuse), _OPEN, tmp_path)

    assert measures.errors == {"too_many": 6}
    assert measures.faults.total == 0


async def test_a_broken_socket_loses_its_open_message_and_a_new_session_goes_on(tmp_path: Path) -> None:
    broken: list[str] = []

    async def reply(socket: Socket, number: int, ref: str, text: str) -> None:
        if number == 2 and not broken:
            broken.append(ref)
            await socket.socket.close()
        else:
            await answer(socket, ref, text)

    measures = await measured(chat(reply), _OPEN, tmp_path)

    assert measures.faults.lost == 1
    assert measures.problems == {"socket_closed": 1}
    assert measures.answered == 5


def test_text_is_quoted_in_frames_that_are_json() -> None:
    assert frame_of({"text": "{text}"}, {"text": 'a "b"\n'}) == '{"text":"a \\"b\\"\\n"}'
    assert frame_of("say {text}", {"text": 'a "b"'}) == 'say a "b"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('socket = "/chat"', "send: it is missing"),
        ('socket = "/chat"\nsend = "x"\nsned = "y"', "sned: there is no such key; there are answer, error"),
        ('socket = "/chat"\nsend = "x"\n[answer]\nwhere = 1', "answer.where: there is no such key"),
        ('socket = "/chat"\nsend = "x"\nopen = "/token"', "open: a table is expected"),
        ('socket = "/chat"\nsend = "x"\n[answer]\nwhen = "done"', "answer.when: a table is expected"),
        ('socket = "/chat"\nsend = ["x", "{txt}"]', "send: there is no variable {txt}; there are id"),
        ('socket = "/chat?t={token}"\nsend = "x"', "socket: there is no variable {token}"),
        ("socket = ", "chat.toml: Invalid value"),
    ],
)
def test_a_wrong_description_is_named_with_its_key(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "chat.toml").write_text(text)

    with pytest.raises(DescriptionError) as caught:
        Description.read(tmp_path / "chat.toml")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('socket = "/chat"\nsend = "x"\n\nsned = "y"', 4),
        ('socket = "/chat"\nsend = "x"\n\n[answer]\ntext = "t"\nwhere = 1', 6),
        ('socket = "/chat"\nsend = "x"\nanswer = { where = 1 }', 3),
        ('socket = "/chat"\nsend = "x"\n\n[open]\nmethod = "GET"', 4),
        ('socket = "/chat"\nsend = "x"\n\n[answr]\ntext = "t"', 4),
    ],
)
def test_a_wrong_description_is_named_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text(text)

    with pytest.raises(DescriptionError, match=f"chat.toml, line {line}\\)$"):
        Description.read(file)
