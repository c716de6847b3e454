"""Load tests of the real service, with the model that they start by themselves."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from faust_redis.testing import eventually
from parley.loadtest.faults import Faults, TokenFaults
from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan
from parley.loadtest.processes import run
from parley.loadtest.service import Service
from tests.parley.loadtest.fake_service import Serve, Socket, answer, answer_all, fake_service, take_all

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("protocol", ["streaming", "plain"])
async def test_a_closed_loop_measures_every_answer(started: Service, protocol: str) -> None:
    measures = await run(
        LoadPlan(started.url, protocol=protocol, sessions=8, messages=5, duration=0, echo=True)  # type: ignore[arg-type]
    )

    assert (measures.sent, measures.answered, measures.latency.count) == (40, 40, 40)
    assert (measures.faults, measures.token_faults) == (Faults(), TokenFaults())
    assert (measures.histories, measures.history_faults) == (8, Faults())
    assert (measures.first_token.count > 0) == (protocol == "streaming")


async def test_an_open_loop_keeps_its_rate_over_several_processes(started: Service) -> None:
    plan = LoadPlan(started.url, mode="open", rate=30, sessions=30, duration=3, processes=2, echo=True)
    measures = await run(plan)

    assert measures.sent == pytest.approx(90, abs=3)
    assert (measures.answered, measures.faults) == (measures.sent, Faults())


async def test_what_several_processes_measure_is_told_while_they_run(started: Service) -> None:
    told: list[tuple[int, float]] = []
    plan = LoadPlan(started.url, mode="open", rate=40, sessions=8, duration=3, processes=2, echo=True)
    measures = await run(plan, lambda latest: told.append((latest.sent, latest.elapsed)))

    counts = [sent for sent, _ in told]
    assert counts == sorted(counts)
    assert counts[-1] == measures.sent
    # Of one process alone it would be 60 at the most.
    assert any(60 < sent < measures.sent for sent in counts)


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_test_that_is_stopped_waits_for_what_is_on_its_way_and_reports(
    started: Service, processes: int
) -> None:
    stop = asyncio.Event()

    def watch(latest: Measures) -> None:
        if latest.answered > 10:
            stop.set()

    plan = LoadPlan(started.url, sessions=4, duration=600, processes=processes, echo=True)
    measures = await asyncio.wait_for(run(plan, watch, stop), 30)

    assert measures.cut_short
    assert (measures.sent, measures.unfinished) == (measures.answered, 0)
    assert measures.faults == Faults()
    assert sum(second.answered for second in measures.seconds.values()) == measures.answered


async def test_a_test_that_is_cancelled_has_told_what_all_processes_measured(started: Service) -> None:
    told: list[Measures] = []
    plan = LoadPlan(started.url, sessions=4, duration=600, processes=2, echo=True)
    task = asyncio.create_task(run(plan, told.append))
    await eventually(lambda: told and told[-1].answered > 100, "answers in both processes")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    latest = told[-1]
    assert latest.answered > 100
    assert sum(second.sent for second in latest.seconds.values()) == latest.sent


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("protocol", ["streaming", "plain"])
async def test_sockets_that_break_lose_nothing(started: Service, protocol: str, echo: bool) -> None:
    plan = LoadPlan(
        started.url,
        protocol=protocol,  # type: ignore[arg-type]
        sessions=5,
        messages=12,
        duration=0,
        cut_every=3,
        echo=echo,
    )
    measures = await run(plan)

    assert measures.cuts >= 15
    assert (measures.answered, measures.faults, measures.token_faults) == (60, Faults(), TokenFaults())
    assert (measures.histories, measures.history_faults) == (5, Faults())


@pytest.mark.parametrize("protocol", ["streaming", "plain"])
async def test_sockets_that_break_while_others_wait_lose_nothing(started: Service, protocol: str) -> None:
    plan = LoadPlan(
        started.url,
        protocol=protocol,  # type: ignore[arg-type]
        mode="open",
        rate=60,
        sessions=3,
        duration=2,
        cut_every=4,
        echo=True,
    )
    measures = await run(plan)

    assert measures.cuts >= 20
    assert (measures.answered, measures.faults, measures.token_faults) == (
        measures.sent,
        Faults(),
        TokenFaults(),
    )
    assert measures.history_faults == Faults()


@pytest.mark.parametrize("processes", [1, 2])
async def test_idle_sockets_stay_open_beside_the_others_and_their_memory_is_told(
    started: Service, processes: int
) -> None:
    plan = LoadPlan(started.url, sessions=2, messages=2, duration=0, idle=200, echo=True, processes=processes)
    measures = await run(plan, memory=started.memory)

    idle = measures.idle
    assert (idle.opened, idle.kept, measures.answered) == (200, 200, 4)
    assert idle.kb_each is not None
    assert 1 < idle.kb_each < 200


async def test_memory_is_read_before_the_idle_sockets_are_opened_and_while_all_are_open() -> None:
    async with fake_service(take_all) as service:
        await run(LoadPlan(service.url, sessions=1, duration=0.1, drain=0, idle=5), memory=service.look)

    assert set(service.looks) == {0, 5}


async def test_an_idle_socket_that_is_refused_is_an_error_and_the_others_go_on() -> None:
    async with fake_service(take_all, places=3) as service:
        measures = await run(LoadPlan(service.url, sessions=1, messages=1, duration=0, drain=0, idle=5))

    assert (measures.idle.asked, measures.idle.opened) == (5, 3)
    assert measures.idle.why
    assert measures.problems == {"idle_unopened": 2, "session_unopened": 1}


async def test_an_idle_socket_that_the_service_closes_is_an_error() -> None:
    async with fake_service(take_all) as service:

        def watch(_latest: Measures) -> None:
            for socket in service.sockets:
                service.closing.append(asyncio.create_task(socket.close()))

        measures = await run(LoadPlan(service.url, sessions=1, duration=1, drain=0.2, idle=4), watch)

    assert measures.problems["idle_closed"] == 4


async def test_a_stall_shows_in_the_tail_although_few_messages_meet_it(started: Service) -> None:
    """Latency counts from the moment a message was due, not from when it could be sent."""
    (web,) = started.processes("web")
    sent: list[int] = []
    plan = LoadPlan(started.url, mode="open", rate=40, sessions=40, duration=6, echo=True)
    task = asyncio.create_task(run(plan, lambda measures: sent.append(measures.sent)))
    await eventually(lambda: sent and sent[-1] > 60, "the test to be under way")
    os.kill(web, signal.SIGSTOP)
    await asyncio.sleep(2)  # the stall itself
    os.kill(web, signal.SIGCONT)
    measures = await task

    assert measures.latency.percentile(99) > 1.5
    assert measures.latency.percentile(50) < 1.5
    assert measures.faults == Faults()


async def test_a_service_that_never_answers_ends_the_test_and_counts_as_lost() -> None:
    async with fake_service(take_all) as service:
        measures = await run(LoadPlan(service.url, sessions=3, duration=0.2, drain=0.2))

    assert (measures.sent, measures.answered, measures.faults) == (3, 0, Faults(lost=3))


async def test_what_a_stopped_test_does_not_wait_for_is_unfinished_and_not_lost() -> None:
    stop = asyncio.Event()

    def watch(latest: Measures) -> None:
        if latest.sent:
            stop.set()

    async with fake_service(take_all) as service:
        measures = await run(LoadPlan(service.url, sessions=3, duration=600), watch, stop)

    assert (measures.sent, measures.unfinished, measures.faults) == (3, 3, Faults())


async def test_a_socket_that_is_not_read_holds_up_no_message_of_the_others() -> None:
    """In an open loop the moments at which messages are due depend on nothing that the service does."""
    clogged: list[Socket] = []

    async def serve(socket: Socket) -> None:
        if not clogged:
            clogged.append(socket)
            await asyncio.Event().wait()
        await answer_all(socket)

    async with fake_service(serve) as service:
        # A megabyte a message: what the kernel buffers for a socket is full after a few.
        plan = LoadPlan(service.url, mode="open", rate=40, sessions=4, duration=2, size=2**20, drain=0.5)
        measures = await run(plan)

    assert measures.sent == pytest.approx(80, abs=2)
    assert measures.answered == pytest.approx(60, abs=2)
    assert measures.faults == Faults(lost=measures.sent - measures.answered)


async def measured(serve: Serve, **of_plan: Any) -> Measures:
    """Test a service that is at fault."""
    async with fake_service(serve) as service:
        plan = {"sessions": 1, "messages": 1, "duration": 0, "drain": 0.3, "echo": True, **of_plan}
        return await run(LoadPlan(service.url, **plan))


@pytest.mark.parametrize(("size", "size_to"), [(200, 0), (20, 300)])
async def test_messages_have_the_size_that_was_asked_for(size: int, size_to: int) -> None:
    async with fake_service(answer_all) as service:
        plan = LoadPlan(
            service.url, sessions=2, messages=50, duration=0, size=size, size_to=size_to, echo=True
        )
        measures = await run(plan)
        said = [
            len(message["msg"].removeprefix("Human: "))
            for history in service.histories.values()
            for message in history
            if message["msg"].startswith("Human: ")
        ]

    assert (measures.answered, measures.faults) == (100, Faults())
    if size_to:
        assert size <= min(said) < 60
        assert 260 < max(said) <= size_to
        assert sum(said) / len(said) == pytest.approx((size + size_to) / 2, abs=40)
    else:
        assert set(said) == {size}


@pytest.mark.parametrize("path", ["", "/chats/of/ours"])
async def test_a_service_may_answer_below_a_path(path: str) -> None:
    async with fake_service(answer_all, path=path) as service:
        measures = await run(LoadPlan(service.url, sessions=2, messages=1, duration=0, idle=3, echo=True))

    assert (measures.answered, measures.idle.kept, measures.histories) == (2, 3, 2)


async def test_an_answer_that_names_no_message_is_unattributed() -> None:
    async def serve(socket: Socket) -> None:
        message = await socket.message()
        await socket.tell(answer(message["id"], "How do you do?"))
        await take_all(socket)

    assert (await measured(serve)).faults == Faults(unattributed=1)
    assert (await measured(serve, echo=False)).faults == Faults()


async def test_tokens_left_out_or_told_twice_are_faults() -> None:
    async def serve(socket: Socket) -> None:
        message = await socket.message()
        turn, text = message["id"], message["text"]
        await socket.tell({"type": "start", "turn": turn})
        for index in (0, 2, 2):
            await socket.tell({"type": "token", "turn": turn, "index": index, "text": text})
        await socket.tell(answer(turn, text))
        await take_all(socket)

    assert (await measured(serve)).token_faults == TokenFaults(lost=1, doubled=1, differing=1)


async def test_a_history_that_holds_a_message_twice_is_a_fault() -> None:
    async with fake_service(answer_all, shows=2) as service:
        measures = await run(LoadPlan(service.url, sessions=1, messages=3, duration=0, echo=True))

    assert (measures.answered, measures.faults) == (3, Faults())
    assert measures.history_faults == Faults(doubled=6)


async def test_a_history_without_what_was_told_is_a_fault() -> None:
    async with fake_service(answer_all, shows=0) as service:
        measures = await run(LoadPlan(service.url, sessions=1, messages=3, duration=0, echo=True))

    assert measures.history_faults == Faults(lost=3)


async def test_a_history_that_cannot_be_read_is_told_of() -> None:
    async with fake_service(answer_all, shows=None) as service:
        measures = await run(LoadPlan(service.url, sessions=2, messages=1, duration=0, echo=True))

    assert (measures.histories, measures.unread) == (0, 2)


async def test_an_answer_told_again_after_a_reconnect_is_a_double() -> None:
    told: list[dict[str, Any]] = []

    async def serve(socket: Socket) -> None:
        await socket.tell(*told)
        message = await socket.message()
        told.append(answer(message["id"], message["text"]))
        await socket.tell(told[-1])
        if len(told) > 1:
            await take_all(socket)

    assert (await measured(serve, messages=2)).faults == Faults(doubled=1)


async def test_a_frame_that_is_none_of_the_protocols_is_an_error_and_the_session_goes_on() -> None:
    async def serve(socket: Socket) -> None:
        message = await socket.message()
        await socket.socket.send_str("hello")
        await socket.tell({"type": "token", "turn": message["id"]}, answer(message["id"], message["text"]))
        await take_all(socket)

    measures = await measured(serve)
    assert (measures.answered, measures.problems) == (1, {"unreadable_frame": 2})
