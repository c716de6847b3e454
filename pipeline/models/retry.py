"""Retry failed calls while no part of the answer was shown, within a deadline per turn.

    call ──fails, nothing shown, may succeed later, attempts and time left──▶ pause ──▶ next call
       │
       └── fails otherwise ──▶ ModelError

A breaker that is open when a turn begins ends the turn at once; a breaker that opens later counts as a failed
attempt. A server that loads its model uses up no attempts: the turn waits for it until the deadline, unless
only one call is allowed.

The client of each model limits the silence of one call (``silence.Patience``).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from pipeline.deadlines import DeadlineExceeded, DeadlineTimer
from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.base import AnswerPart, ChatModel, ModelRequest, Retraction
from pipeline.models.breaker import Breaker
from pipeline.models.failures import too_slow

logger = logging.getLogger(__name__)

_UNAVAILABLE = "The model server has failed several times in a row, so it gets no requests for a moment"

# Maximum seconds between two calls of one turn to a server that loads its model, unless the server named a
# time. A longer pause delays the answer once the server is ready; a shorter one slows its start with many
# calls.
_LOADING_PAUSE = 2.0

# Failures that show a dead server, for every turn; a server that refuses with a reason is alive.
_DEAD = frozenset({ModelErrorCode.UNREACHABLE, ModelErrorCode.TIMEOUT, ModelErrorCode.LOADING})


@dataclass(frozen=True)
class Persistence:
    """The limits of retries.

    Attributes:
        attempts: maximum calls for one turn.
        deadline: seconds for one turn, from the first call to the last piece, pauses included.
        pause: maximum seconds before the second call, doubled before each further one. The actual pause is
            random, so that turns that failed together do not retry together.
        longest_pause: maximum seconds of any pause, unless the server asks for more.
    """

    attempts: int
    deadline: float
    pause: float = 0.5
    longest_pause: float = 10.0

    def pause_after(self, attempt: int, asked: float | None) -> float:
        """Return the seconds to wait after the failed ``attempt``, counted from 1.

        Args:
            asked: the seconds that the server asked to wait, which are the minimum because an earlier call
                would fail.
        """
        span = min(self.pause * 2 ** min(attempt - 1, 32), self.longest_pause)
        return (asked or 0.0) + random.uniform(0, span)

    def pause_while_loading(self, calls: int, asked: float | None) -> float:
        """Return the seconds to wait after this many calls to a server that loads its model."""
        span = min(self.pause * 2 ** min(calls - 1, 32), _LOADING_PAUSE)
        return (asked or 0.0) + random.uniform(span / 2, span)


class PersistentModel:
    """Wrap a model and retry its failed calls.

    Args:
        model: the model to call; ``close`` closes it.
        persistence: the limits of retries.
        breaker: the breaker that all turns share, so that a dead server does not delay each of them.
    """

    def __init__(self, model: ChatModel, persistence: Persistence, breaker: Breaker | None = None) -> None:
        self.name = model.name
        self.kind = model.kind
        self._model = model
        self._persistence = persistence
        self._breaker = breaker or Breaker()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        """Yield the answer's parts; thoughts of a failed call come before those of the next call.

        Raises:
            ModelError: no attempt succeeded. ``partial`` is set if a part of the answer came before,
                ``retry_after`` if the server or the breaker names a time.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._persistence.deadline
        failure: ModelError | None = None
        attempts = loading = 0
        while True:
            shown = False
            if wait := self._breaker.wait(loop.time()):
                failure = _left_alone(failure, wait)
            else:
                try:
                    async with aclosing(self._attempt(request, until)) as parts:
                        async for part in parts:
                            if isinstance(part, str):
                                shown = True
                            elif isinstance(part, Retraction):
                                shown = False
                            yield part
                    return
                except ModelError as exc:
                    failure = exc
            if shown:
                raise _broken_off(failure) from failure
            if failure.loading and self._persistence.attempts > 1:
                loading += 1
                pause = self._persistence.pause_while_loading(loading, failure.retry_after)
            else:
                attempts += 1
                pause = self._persistence.pause_after(attempts, failure.retry_after)
            last = attempts >= self._persistence.attempts or loop.time() + pause >= until
            if last or not failure.retryable:
                raise failure
            logger.info("attempt failed, the next in %.1f s: %s", pause, failure.log_line)
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._model.close()

    async def _attempt(self, request: ModelRequest, until: float) -> AsyncGenerator[AnswerPart]:
        """Yield the parts of one call, and report its outcome to the breaker."""
        loop = asyncio.get_running_loop()
        call = self._breaker.begin()
        timer = DeadlineTimer(loop)
        try:
            async with aclosing(self._model.stream(request)) as parts:
                while (part := await self._next(parts, timer, until)) is not None:
                    self._breaker.succeeded()
                    yield part
        except ModelError as exc:
            if not exc.loading and (exc.code in _DEAD or (exc.status or 0) >= 500):
                self._breaker.failed(call, loop.time(), at_least=exc.retry_after or 0.0)
            else:
                self._breaker.succeeded()
            raise
        finally:
            timer.close()
            self._breaker.ended(call)

    async def _next(
        self, parts: AsyncGenerator[AnswerPart], timer: DeadlineTimer, until: float
    ) -> AnswerPart | None:
        """Return the next part, None after the last."""
        try:
            return await timer.wait(anext(parts), until)
        except StopAsyncIteration:
            return None
        except DeadlineExceeded as exc:
            detail = f"The model gave no complete answer within {self._persistence.deadline:g} s"
            raise too_slow(detail) from exc


def _left_alone(failure: ModelError | None, wait: float) -> ModelError:
    """Return the error of a turn that must wait ``wait`` seconds for an open breaker.

    Raises:
        ModelError: the turn has made no call yet; it ends at once, because waiting turns fill the pipeline.
    """
    if failure is None:
        raise ModelError(ModelErrorCode.UNAVAILABLE, _UNAVAILABLE, retryable=True, retry_after=wait)
    failure.retry_after = wait
    return failure


def _broken_off(failure: ModelError) -> ModelError:
    """Return ``failure`` as the error of an answer of which a part came."""
    return ModelError(
        failure.code,
        f"The answer broke off: {failure.detail}",
        failure.retryable,
        failure.status,
        failure.retry_after,
        partial=True,
        report=failure.report,
    )
