"""The ids that the service makes for messages and answers."""

from __future__ import annotations

import uuid

from pipeline.chat.records import answer_id, random_id


def test_the_id_of_an_answer_is_the_uuid_of_its_turn() -> None:
    for turn in ("a", "0", *map(str, range(300))):
        assert answer_id(turn) == str(uuid.uuid5(uuid.NAMESPACE_URL, f"parley:answer:{turn}"))


def test_random_ids_are_random_uuids() -> None:
    drawn = [random_id() for _ in range(300)]

    assert len(set(drawn)) == len(drawn)
    for each in drawn:
        assert (str(uuid.UUID(each)), uuid.UUID(each).version) == (each, 4)
        assert uuid.UUID(each).variant == uuid.RFC_4122
