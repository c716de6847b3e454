"""The texts of messages."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

from parley.loadtest.conversations import ConversationsError, read
from parley.loadtest.faults import MessageMark
from parley.loadtest.plan import LoadPlan
from parley.loadtest.texts import marked, texts

_OPENAI = {"messages": [
    {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Bye"},
]}  # fmt: skip
_SHAREGPT = {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]}


def lengths(plan: LoadPlan, count: int = 4000) -> list[int]:
    return sorted(len(text) for text in itertools.islice(texts(plan, 0, random.Random(1)), count))


def test_sizes_are_uniform_between_both_ends() -> None:
    found = lengths(LoadPlan("", size=20, size_to=200))

    assert (found[0], found[-1]) == (20, 200)
    assert found[len(found) // 2] == pytest.approx(110, rel=0.1)


def test_nine_of_ten_lognormal_sizes_lie_in_the_range_and_a_few_far_above() -> None:
    found = lengths(LoadPlan("", size=20, size_to=2000, sizes="lognormal"))

    assert sum(20 <= each <= 2000 for each in found) / len(found) == pytest.approx(0.9, abs=0.02)
    assert found[len(found) // 2] == pytest.approx(200, rel=0.15)
    assert found[-1] > 5000


def test_a_made_up_message_has_its_size_with_its_mark() -> None:
    text = next(texts(LoadPlan("", size=30), 0, random.Random(1)))
    message = marked(MessageMark("s1", 2), text, whole=False)

    assert message.startswith("[s1.2] lorem")
    assert len(message) == 30


@pytest.mark.parametrize("lines", [True, False], ids=["one a line", "one array"])
def test_sessions_send_what_people_wrote_in_recorded_conversations(lines: bool, tmp_path: Path) -> None:
    both = [_OPENAI, _SHAREGPT]
    file = tmp_path / "chats.json"
    file.write_text("\n".join(map(json.dumps, both)) if lines else json.dumps(both))
    plan = LoadPlan("", conversations=str(file))

    first, second = (list(itertools.islice(texts(plan, number, random.Random(1)), 4)) for number in (0, 1))
    assert first == ["Hello", "Bye", "Why?", "Hello"]
    assert second == ["Why?", "Hello", "Bye", "Why?"]
    assert marked(MessageMark("s0", 1), first[0], whole=True) == "[s0.1] Hello"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ('{"messages": []}', "holds no conversation"),
        ('[{"role": "assistant", "content": "Hi"}]', "holds no conversation"),
    ],
)
def test_a_file_without_conversations_is_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "chats.json").write_text(content)

    with pytest.raises(ConversationsError, match=words):
        read(tmp_path / "chats.json")
