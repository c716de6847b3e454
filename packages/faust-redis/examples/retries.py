"""Fail events, list the dead letters, and replay one.

A failed event is delivered again after a growing pause; after its last attempt it becomes a dead letter.

$ faust -A retries worker --without-web
[WARNING] charged 10
[WARNING] the bank is away, attempt 1
[WARNING] the bank is away, attempt 2
[WARNING] charged 20
[WARNING] no amount: -5
[WARNING] dead letter: -5 after 1 attempt: ValueError: an amount is positive
[WARNING] sent again: -5
[WARNING] no amount: -5
"""

import asyncio
import os

import faust
from redis.asyncio import Redis

from faust_redis import DeadLetters, attempts_before, fail, reject

BROKER = os.environ.get("BROKER", "redis://localhost:6379")
app = faust.App("retries", broker=BROKER, topic_partitions=1)
amounts = app.topic("amounts", value_type=int)
charged = asyncio.Event()


@app.agent(amounts)
async def charge(stream):
    async for event in stream.events():
        amount = event.value
        if amount < 0:
            print(f"no amount: {amount}")
            reject(event, ValueError("an amount is positive"))  # another attempt would fail as well
        elif amount == 20 and attempts_before(event) < 2:
            print(f"the bank is away, attempt {attempts_before(event) + 1}")
            fail(event, ConnectionError("the bank is away"))  # raising the error has the same effect
        else:
            print(f"charged {amount}")
            if amount == 20:
                charged.set()


@app.task
async def use():
    await amounts.send(value=10)
    await amounts.send(value=20)
    await charged.wait()
    await amounts.send(value=-5)
    async with Redis.from_url(BROKER) as redis:
        dead = DeadLetters(redis)
        while not (letters := await dead.page(["amounts"])):
            await asyncio.sleep(0.1)
        (letter,) = letters
        print(f"dead letter: {letter.value.decode()} after {letter.attempts} attempt: {letter.error}")
        print(f"sent again: {letter.value.decode()}")
        await dead.replay(letter.id)  # appends it to its partition again
