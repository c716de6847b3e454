"""Send the messages again that Redis had confirmed and has lost, and create lost sessions again.

A Redis that is killed, or replaced by a replica, may come back with older data: the session no longer knows a
message, although its client has seen it accepted or even answered. This process remembers its latest messages
(``web.chat.sent_messages``). After a lost connection it looks them up in their sessions, and sends what is
unknown there again, in order and under the same ids, which is harmless if they were only on their way.
Answers and errors that its clients have seen go back into the history as they were.

Each message names the one before it. If a client's next message arrives before the repair, ingest refuses it
with the frame ``missing``; then both are sent again. A lost message goes to its place behind the one before
it, also if another web process has sent later ones meanwhile.

On a cluster a node may lose the entry that carries a turn while the session, on another node, has it open. So
turns that stay open without being answered are sent to the model once more.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from faust_redis.redis import is_unavailable
from pipeline.chat.records import SESSION_EXPIRED, Frame, Inbound
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.results import Closed, Ended, Place, Whereabouts
from pipeline.errors import describe_error
from web import limits
from web.chat.intake import Producer
from web.chat.protocol import ClientMessage
from web.chat.sent_messages import (
    CHECK_AFTER_OUTAGE_SECONDS,
    LAST_CHECK_SECONDS,
    SentMessage,
    SentMessages,
)

log = structlog.get_logger(__name__)

#: Seconds between looks for messages to check or to forget.
_PAUSE_SECONDS: Final = 2.0
#: Seconds between tries to create lost sessions again.
_CREATION_PAUSE_SECONDS: Final = 0.05
#: Seconds after which a lost session, or the lost message before one, counts as gone: another web process may
#: restore it.
_OTHERS_SECONDS: Final = 1.0
#: The number of times that a message may be refused as ``missing`` before it no longer names the one before.
_MISSES: Final = 3
#: Seconds that a socket waits for the repair of its session.
_REPAIR_SECONDS: Final = 5.0
#: Seconds after an outage for which an expired session is looked up before its clients get an error.
_DOUBT_SECONDS: Final = 10.0
#: Seconds that a run may take beyond MODEL_DEADLINE before its turn is sent to the model again.
_DEADLINE_GRACE_SECONDS: Final = 30.0


class Chain:
    """The messages of a session that this process remembers, each with the one before it; no I/O.

    Attributes:
        remembered: these messages, in the order sent.
        held: the messages and answers that the session holds, or will hold before what is sent next.
    """

    def __init__(self, remembered: Sequence[SentMessage], places: Mapping[str, Place]) -> None:
        self.remembered = remembered
        self.held = {each for each, place in places.items() if place is not Place.UNKNOWN}
        self._by_id = {each.id: each for each in remembered}

    def follows(self, sent: SentMessage) -> str | None:
        """Return the nearest message before one that the session holds: empty if it is the first, or None."""
        passed = {sent.id}
        before = None if sent.message is None else sent.message.follows
        while before and before not in self.held:
            passed.add(before)
            earlier = self._by_id.get(before)
            if earlier is None or earlier.message is None or earlier.message.follows in passed:
                return None
            before = earlier.message.follows
        return before


def ids_of(remembered: Sequence[SentMessage]) -> list[str]:
    """Return the ids of messages, and of those that they follow."""
    follows = (each.message.follows for each in remembered if each.message is not None)
    return list(dict.fromkeys([*(each.id for each in remembered), *filter(None, follows)]))


class LossRepair:
    """Look up the messages of this process in their sessions, and send lost ones again.

    Attributes:
        sent: the messages that this process has sent.
        resent: messages that were sent again, because Redis had lost them.
        restored: answers that were written back into their sessions.
    """

    def __init__(
        self,
        sessions: RepairableSessions,
        producer: Callable[[], Producer],
        *,
        model_deadline: float,
        on_missed: Callable[[str], None],
        on_restored: Callable[[str, Sequence[str]], None],
        on_failed: Callable[[str, str, bool], None],
    ) -> None:
        """Store the arguments.

        Args:
            sessions: a client that waits while Redis is unavailable.
            producer: returns the sender of messages.
            model_deadline: seconds after which no run of a turn goes on.
            on_missed: called with a session one of whose answers has not come.
            on_restored: called with a session and the ids of frames that it now holds as unsent again.
            on_failed: called with a session and the id of a message that will get no answer, and whether the
                session has expired.
        """
        self.sent = SentMessages()
        self.resent = self.restored = 0
        self._sessions = sessions
        self._producer = producer
        self._longest_run = model_deadline + _DEADLINE_GRACE_SECONDS
        self._on_missed = on_missed
        self._on_restored = on_restored
        self._on_failed = on_failed
        self._due: dict[str, bool] = {}  # session → whether Redis may have lost something
        self._active: dict[str, asyncio.Task[None]] = {}
        self._awaited: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._restoring: defaultdict[str, list[Frame]] = defaultdict(list)  # answers with another text
        self._creating: asyncio.Task[None] | None = None
        self._lost_at: float | None = None
        self._is_stopped = False
        self._wake = asyncio.Event()

    def check_all(self) -> None:
        """Look up all messages, because Redis may have lost some."""
        if self._is_stopped:
            return
        self._lost_at = time.monotonic()
        self.sent.may_be_lost()
        for token in self.sent.tokens():
            self._due[token] = True
        if self._creating is None and self.sent.new_sessions():
            self._creating = asyncio.create_task(self._create_sessions(), name="create sessions again")
        self._wake.set()

    def check(self, token: str) -> None:
        """Look up the messages of one session, because it lacks one of them."""
        self._due[token] = True
        self._wake.set()

    async def repaired(self, token: str) -> None:
        """Look up the messages of one session, and wait until they are restored, for some seconds at most."""
        self.check(token)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[token].append(done)
        with suppress(TimeoutError):
            async with asyncio.timeout(_REPAIR_SECONDS):
                await done

    def missed(self, token: str, message_id: str) -> None:
        """Look up a session that has refused a message, because it lacks the one before."""
        self.sent.missed(token, message_id, _MISSES)
        self.check(token)

    def doubts(self, token: str, frame: Frame) -> bool:
        """Return whether a frame may be wrong; if so, look the session up.

        Soon after an outage, an agent may miss a session that a web process has yet to create again.
        """
        if frame.get("error") != SESSION_EXPIRED or self._lost_at is None:
            return False
        message_id = frame.get("turn") or frame.get("refused") or ""
        if time.monotonic() - self._lost_at > _DOUBT_SECONDS or not self.sent.remembers(token, message_id):
            return False
        self.check(token)
        return True

    def decided(self, token: str, frame: Frame) -> None:
        """Take a frame of a session, which may end a message."""
        seen = self.sent.decided(token, frame)
        if seen is not None:
            # A turn that had lost its end was answered again, before this process could restore the answer.
            self._restoring[token].append(seen)
            self._wake.set()

    async def run(self) -> None:
        """Serve until cancelled; later lost connections have no effect."""
        try:
            while True:
                self._start()
                self._wake.clear()
                try:
                    async with asyncio.timeout(_PAUSE_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    if not self._active and self._creating is None:
                        self.sent.prune()
                    for token in self.sent.overdue():
                        self._due.setdefault(token, False)
        finally:
            self._is_stopped = True
            for task in (*self._active.values(), self._creating):
                if task is not None:
                    task.cancel()

    def _start(self) -> None:
        for token in self._restoring:
            self._due.setdefault(token, False)
        for token in [each for each in self._due if each not in self._active]:
            if len(self._active) >= limits.ATTACH_CONCURRENCY:
                return
            after_outage = self._due.pop(token)
            task = asyncio.create_task(self._repair(token, after_outage), name="loss repair")
            self._active[token] = task
            task.add_done_callback(partial(self._done, token))

    def _done(self, token: str, task: asyncio.Task[None]) -> None:
        del self._active[token]
        if token not in self._due:
            for done in self._awaited.pop(token, ()):
                if not done.done():
                    done.set_result(None)
        if self._due:  # it may have waited for a place
            self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "looking for lost messages failed; trying again", session=token, error=describe_error(error)
            )
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self.check, token)

    async def _repair(self, token: str, after_outage: bool) -> None:
        for answer in self._restoring.pop(token, ()):
            await self._sessions.restore_text(token, answer)
        remembered = self.sent.of(token)
        if not remembered:
            return
        found = await self._find(token, remembered, after_outage)
        if found is None:
            for message_id in self.sent.forget(token):
                self._on_failed(token, message_id, True)
            return
        chain = Chain(remembered, found.places)
        await self._restore_ended(token, chain, found)
        await self._send_lost(token, chain, found.places)
        if any(found.places[each.id] is Place.OVER and not each.ended for each in remembered):
            self._take_ends(token, remembered, found.places)
        await self._check_turn(token, remembered, found)
        now = time.monotonic()
        for each in remembered:
            each.interval = (
                CHECK_AFTER_OUTAGE_SECONDS if after_outage else min(LAST_CHECK_SECONDS, each.interval * 2)
            )
            each.check_at = now + each.interval

    async def _find(
        self, token: str, remembered: list[SentMessage], after_outage: bool
    ) -> Whereabouts | None:
        """Return the state of messages, None when the session has expired."""
        if self._creating is not None:
            await asyncio.wait([self._creating])
        ids = ids_of(remembered)
        found = await self._sessions.find(token, ids)
        if not after_outage:
            return found
        if found is not None:
            known = {each.id for each in remembered}
            if all(found.places[each] is not Place.UNKNOWN for each in ids if each not in known):
                return found
            await asyncio.sleep(_OTHERS_SECONDS)
        elif (session := self.sent.new_session(token)) is not None:
            await self._sessions.create_again([session])
        else:
            await asyncio.sleep(_OTHERS_SECONDS)
        return await self._sessions.find(token, ids)

    async def _create_sessions(self) -> None:
        """Create lost new sessions again, as soon as Redis is back: before agents look for them."""
        try:
            while True:
                try:
                    await self._sessions.create_again(self.sent.new_sessions())
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    await asyncio.sleep(_CREATION_PAUSE_SECONDS)
                else:
                    self._lost_at = time.monotonic()
                    return
        except Exception:
            log.exception("creating lost sessions again failed")
        finally:
            self._creating = None

    async def _restore_ended(self, token: str, chain: Chain, found: Whereabouts) -> None:
        """Write the messages that have ended for their clients back into the session, with their ends."""
        restored_ids = []
        next_turn: str | None = None
        for each in chain.remembered:
            message, end = each.message, each.end
            if message is None or end is None or found.places[each.id] in (Place.OVER, Place.WAITING):
                continue
            follows = chain.follows(each)
            inbound = Inbound(
                token=token,
                id=message.id,
                text=message.text,
                sent_at=time.time(),
                regenerate=message.regenerate,
                edits=message.edits,
                follows=follows,
                restored=follows is not None and found.places[each.id] is Place.UNKNOWN,
            )
            restored = await self._sessions.restore(inbound, end)
            if isinstance(restored, Closed):
                restored_ids.append(end["id"])
                next_turn = restored.next_turn or next_turn
            if isinstance(restored, Closed | Ended):
                chain.held.add(each.id)
                if each.id == next_turn:
                    next_turn = None
        if restored_ids:
            self.restored += len(restored_ids)
            log.warning("ends that the session lacks are restored", session=token, messages=len(restored_ids))
            self._on_restored(token, restored_ids)
        if next_turn is not None:
            await self._send(token, ClientMessage(next_turn, "", follows=next_turn, reopen=True))

    async def _send_lost(self, token: str, chain: Chain, places: Mapping[str, Place]) -> None:
        count = 0
        for each in chain.remembered:
            if each.id in chain.held or not self.sent.holds(token, each):
                continue
            if each.message is None:
                self.sent.drop(token, each.id)
                continue
            if not self.sent.may_resend(each):
                chain.held.add(each.id)  # it is on its way
                continue
            follows = chain.follows(each)
            again = replace(each.message, follows=follows, restored=each.accepted and follows is not None)
            await self._send(token, again)
            chain.held.add(each.id)
            count += 1
        if count:
            self.resent += count
            log.warning("messages that the session lacks are sent again", session=token, messages=count)

    def _take_ends(self, token: str, remembered: list[SentMessage], places: Mapping[str, Place]) -> None:
        for each in remembered:
            if places[each.id] is Place.OVER:
                self.sent.end(token, each.id)
        self._on_missed(token)

    async def _check_turn(self, token: str, remembered: list[SentMessage], found: Whereabouts) -> None:
        """Send the open turn to the model again if nothing seems to work on it."""
        turn, now = found.open_turn, time.monotonic()
        if turn is None:
            return
        watched = next((each for each in remembered if each.id == turn), None)
        if watched is None:
            self.sent.watch(token, turn)
            return
        if watched.idle_since is None or watched.run != found.run:
            watched.idle_since, watched.run = now, found.run
            return
        patience = self._longest_run if found.run else CHECK_AFTER_OUTAGE_SECONDS / 2
        if now - watched.idle_since >= patience:
            watched.idle_since = None
            log.warning("an open turn is sent to the model again", session=token, turn=turn)
            # It follows itself, so that a session which lost it meanwhile does not accept an empty message.
            await self._send(token, ClientMessage(turn, "", follows=turn, reopen=True))

    async def _send(self, token: str, message: ClientMessage) -> None:
        confirmation = await self._producer().send(token, message)
        confirmation.add_done_callback(partial(self._confirmed, token, message.id))

    def _confirmed(self, token: str, message_id: str, confirmation: asyncio.Future[Any]) -> None:
        if not confirmation.cancelled() and confirmation.exception() is not None:
            self.sent.drop(token, message_id)
            self._on_failed(token, message_id, False)
