"""Count words; the counts are a table, kept in Redis and in the memory of the worker that owns them.

$ faust -A word_count worker --without-web
[WARNING] to 1
[WARNING] be 1
[WARNING] or 1
[WARNING] not 1
[WARNING] to 2
[WARNING] be 2
"""

import os

import faust

app = faust.App(
    "word-count",
    broker=os.environ.get("BROKER", "redis://localhost:6379"),
    topic_partitions=1,  # a single partition keeps the order of all words, as in the output above
)
words = app.topic("words", key_type=str, value_type=str)
counts = app.Table("counts", default=int, partitions=1)


@app.agent(words)
async def count(stream):
    async for word in stream:
        counts[word] += 1
        print(f"{word} {counts[word]}")


@app.task
async def speak():
    for word in ["to", "be", "or", "not", "to", "be"]:
        await words.send(key=word, value=word)
