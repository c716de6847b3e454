"""Ask an agent and await its reply; the replies come through a topic of the asking worker.

$ faust -A ask_reply worker --without-web
[WARNING] 7 squared is 49
[WARNING] [1, 4, 9]
"""

import os

import faust

app = faust.App(
    "ask-reply",
    broker=os.environ.get("BROKER", "redis://localhost:6379"),
)


@app.agent()
async def square(numbers):
    async for number in numbers:
        yield number**2


@app.task
async def use():
    print(f"7 squared is {await square.ask(7)}")
    print(f"{await square.join([1, 2, 3])}")
