"""Whether the figures are true, against services that misbehave on purpose."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from aiohttp import web

from parley.loadtest import generator
from parley.loadtest.arrivals import arrivals
from parley.loadtest.faults import Faults, TokenFaults
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan
from parley.loadtest.processes import run
from tests.parley.loadtest.fake_service import (
    FakeService,
    Serve,
    Socket,
    answer,
    answer_all,
    answer_raw,
    fake_service,
    take_all,
)

# Seconds that a machine with other work may be late.
_NOISE = 0.25


async def measured(serve: Serve, of_service: dict[str, Any] | None = None, **of_plan: Any) -> Measures:
    async with fake_service(serve, **of_service or {}) as service:
        plan = {"sessions": 1, "messages": 1, "duration": 0, "drain": 0.5, "echo": True, **of_plan}
        return await run(LoadPlan(service.url, **plan))


class Stall:
    """A service that answers nothing until some seconds after its first message, and all else at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over: float | None = None

    async def __call__(self, socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        async for message in socket.messages():
            self._over = self._over or loop.time() + self._seconds
            await asyncio.sleep(self._over - loop.time())
            await socket.tell(answer(message["id"], message["text"]))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"ramp": 1.0},
        {"arrivals": "poisson", "seed": 4},
        {"processes": 2},
        {"sessions": 1},
    ],
    ids=str,
)
async def test_latency_counts_from_when_a_message_was_due_while_earlier_ones_have_no_answer(
    how: dict[str, Any],
) -> None:
    stall = 1.0
    async with fake_service(Stall(stall)) as service:
        plan = LoadPlan(service.url, mode="open", rate=60, duration=1.5, echo=True, **{"sessions": 4, **how})
        measures = await run(plan)

    dues = sorted(
        due
        for share in plan.shares()
        for due in itertools.takewhile(
            lambda due: due < 1.5,
            arrivals(
                rate=share.rate,
                ramp=share.ramp,
                poisson=share.arrivals == "poisson",
                seed=share.seed,
                phase=share.phase,
            ),
        )
    )
    exact = sorted(max(0.0, dues[0] + stall - due) for due in dues)
    assert (measures.answered, measures.faults) == (len(dues), Faults())
    for percent in (50, 90, 99):
        rank = -(-len(exact) * percent // 100)
        assert measures.latency.percentile(percent) == pytest.approx(exact[rank - 1], abs=_NOISE)


async def test_tokens_that_come_unevenly_are_timed_one_by_one() -> None:
    async def serve(socket: Socket) -> None:
        message = await socket.message()
        turn, pieces = message["id"], message["text"].split(" ", 3)
        await socket.tell({"type": "start", "turn": turn})
        for index, (pause, piece) in enumerate(zip((0.3, 0.1, 0.6), pieces, strict=False)):
            await asyncio.sleep(pause)
            await socket.tell({"type": "token", "turn": turn, "index": index, "text": piece})
        await asyncio.sleep(0.2)
        await socket.tell(answer(turn, message["text"]))
        await take_all(socket)

    measures = await measured(serve, drain=5)
    assert measures.first_token.percentile(50) == pytest.approx(0.3, abs=_NOISE)
    assert measures.between_tokens.count == 2
    assert measures.between_tokens.percentile(50) == pytest.approx(0.1, abs=_NOISE)
    assert measures.between_tokens.longest == pytest.approx(0.6, abs=_NOISE)
    assert measures.latency.longest == pytest.approx(1.2, abs=2 * _NOISE)


async def test_a_token_that_comes_after_its_answer_is_misordered() -> None:
    async def serve(socket: Socket) -> None:
        message = await socket.message()
        late = {"type": "token", "turn": message["id"], "index": 0, "text": "late"}
        await socket.tell(answer(message["id"], message["text"]), late)
        second = await socket.message()
        await socket.tell(answer(second["id"], second["text"]))
        await take_all(socket)

    assert (await measured(serve, messages=2)).token_faults == TokenFaults(misordered=1)


async def test_answers_doubled_swapped_crossed_and_left_out_are_each_told_for_what_they_are() -> None:
    async def serve(socket: Socket) -> None:
        first, second, third, fourth, _ = [await socket.message() for _ in range(5)]
        await socket.tell(answer(second["id"], second["text"]), answer(first["id"], first["text"]))
        await socket.tell(*[answer(third["id"], third["text"])] * 2)
        await socket.tell(answer(fourth["id"], "[s77.1] somebody else's"))
        await take_all(socket)

    measures = await measured(serve, mode="open", rate=100, messages=5)
    assert measures.faults == Faults(lost=1, doubled=1, misordered=1, crossed=1)


async def test_sockets_that_the_service_closes_are_errors() -> None:
    async def serve(socket: Socket) -> None:
        message = await socket.message()
        await socket.tell(answer(message["id"], message["text"]))
        await socket.socket.close()

    measures = await measured(serve, messages=3)
    assert measures.answered == 3
    assert measures.problems["socket_closed"] >= 2


async def test_a_handshake_that_is_never_answered_does_not_hold_up_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generator, "_OPEN_SECONDS", 0.5)

    async def chat(_service: FakeService, _request: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeService, "chat", chat)
    measures = await asyncio.wait_for(measured(take_all), 60)

    assert (measures.sent, measures.unopened) == (0, 1)
    assert measures.why == "no answer within 0.5 s"


async def test_frames_of_no_protocol_are_errors_and_none_ends_the_session() -> None:
    async def serve(socket: Socket) -> None:
        message = await socket.message()
        await socket.socket.send_bytes(b"\0")
        for frame in ("[]", "5", "{}", '{"type":"message","turn":[],"id":"x","msg":"y"}', '{"type":"token"}'):
            await socket.socket.send_str(frame)
        await socket.tell(answer(message["id"], message["text"]))
        await take_all(socket)

    measures = await measured(serve)
    assert (measures.answered, measures.faults) == (1, Faults())
    assert measures.problems == {"unreadable_frame": 5}  # one without a type is of no kind that we know


async def test_a_service_that_does_not_stream_says_so_at_once() -> None:
    measures = await measured(answer_raw, {"speaks": ()})

    assert (measures.sent, measures.unopened) == (0, 1)
    assert "--protocol plain" in measures.why


@pytest.mark.parametrize("shows", [None, 1])
async def test_a_plain_service_of_another_make_is_measured_as_far_as_it_goes(shows: int | None) -> None:
    of_plan = {"protocol": "plain", "sessions": 3, "messages": 4, "echo": False}
    measures = await measured(answer_raw, {"speaks": (), "shows": shows}, **of_plan)

    assert (measures.sent, measures.answered, measures.wrong) == (12, 12, 0)
    assert measures.unshaped == 12
    assert measures.problems == {}
    if shows is None:
        assert (measures.unread, measures.unread_why) == (3, "/refresh_token: status 404 Not Found")


async def test_a_history_of_another_shape_is_not_checked_and_ends_no_test() -> None:
    async def serve(socket: Socket) -> None:
        socket.history.append({"text": "of another make"})
        await answer_all(socket)

    measures = await measured(serve)
    assert (measures.answered, measures.histories, measures.unread) == (1, 0, 1)
    assert "not the shape" in measures.unread_why


async def test_in_a_closed_loop_what_a_stall_held_back_is_told_beside_what_was_measured() -> None:
    async def serve(socket: Socket) -> None:
        count = 0
        async for message in socket.messages():
            count += 1
            await asyncio.sleep(1.0 if count == 50 else 0.002)
            await socket.tell(answer(message["id"], message["text"]))

    measures = await measured(serve, messages=220, drain=10)
    assert measures.latency.percentile(99) < 0.5
    assert measures.latency.corrected(measures.latency.percentile(50)).percentile(99) > 0.7


async def test_a_message_that_is_lost_makes_those_behind_it_not_misordered() -> None:
    async def serve(socket: Socket) -> None:
        await socket.message()
        await answer_all(socket)

    measures = await measured(serve, mode="open", rate=100, messages=20)
    assert (measures.answered, measures.faults) == (19, Faults(lost=1))


async def test_an_answer_that_comes_while_histories_are_read_is_not_missing_there() -> None:
    histories_are_read, answered = asyncio.Event(), asyncio.Event()

    async def serve(socket: Socket) -> None:
        message = await socket.message()
        await histories_are_read.wait()
        await socket.tell(answer(message["id"], message["text"]))
        answered.set()
        await take_all(socket)

    async def refresh_token(service: FakeService, request: web.Request) -> web.Response:
        (history,) = service.histories.values()
        shown = list(history)
        histories_are_read.set()
        await answered.wait()
        return web.json_response({"messages": shown})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeService, "refresh_token", refresh_token)
        measures = await measured(serve, drain=0.2)
    assert (measures.answered, measures.faults, measures.history_faults) == (1, Faults(), Faults())
