"""Sending words to the program that counts them."""

from __future__ import annotations

import faust

#: The program.
FEATURES = "tests.programs.features"


async def send_words(url: str, *words: str) -> None:
    """Send words as a program without a worker does."""
    app = faust.App("sender", broker=url, topic_partitions=2)
    topic = app.topic("words")
    await app.maybe_start_producer()
    for word in words:
        await topic.send(key=word, value=word)
    await app.producer.stop()
