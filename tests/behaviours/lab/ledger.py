"""The books of one session: each message that its client sent, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Frame = Mapping[str, Any]


@dataclass
class Entry:
    """A message.

    Attributes:
        sent: how often it was sent.
        accepted: whether the service confirmed it.
        end: the frame that ended it.
        refused: the end was an error before it was accepted.
    """

    id: str
    text: str
    sent: int = 0
    accepted: bool = False
    end: Frame | None = None
    refused: bool = False


@dataclass
class Ledger:
    """The messages of a session, in the order sent.

    Attributes:
        problems: what the protocol does not allow.
        repeated: frames that came again on a later socket.
        has_lost: a `resume_failed` came, so the session has lost answers that the client had.
        errors: how often each error code came.
    """

    name: str
    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    repeated: int = 0
    has_lost: bool = False
    errors: dict[str, int] = field(default_factory=dict)

    def ask(self, message_id: str, text: str) -> Entry:
        """Enter a message before it is sent for the first time."""
        entry = self.entries[message_id] = Entry(message_id, text)
        return entry

    @property
    def open(self) -> list[Entry]:
        """The messages that have not ended, in the order sent."""
        return [entry for entry in self.entries.values() if entry.end is None]

    @property
    def answers(self) -> int:
        """How many messages have an answer."""
        return sum(
            entry.end is not None and entry.end["type"] == "message" for entry in self.entries.values()
        )

    @property
    def last(self) -> str:
        """The id to resume after: of the last answer, or of the first message that was accepted."""
        for entry in reversed(self.entries.values()):
            if entry.end is not None and entry.end["type"] == "message":
                return str(entry.end["id"])
        return next((entry.id for entry in self.entries.values() if entry.accepted), "")

    def take(self, frame: Frame) -> None:
        """Enter a frame from the service."""
        match frame["type"]:
            case "accepted":
                if entry := self._entry(frame["id"], frame):
                    entry.accepted = True
            case "message":
                self._end(frame["turn"], frame)
            case "error" if "turn" in frame or "id" in frame:
                self.errors[frame["code"]] = self.errors.get(frame["code"], 0) + 1
                self._end(frame.get("turn", frame.get("id")), frame)
            case "error":
                self.errors[frame["code"]] = self.errors.get(frame["code"], 0) + 1
                self.has_lost |= frame["code"] == "resume_failed"
                if frame["code"] != "resume_failed":
                    self.problems.append(f"{self.name}: {frame}")

    def check(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Compare the books with the history of the session, once all messages have ended."""
        kept = list(messages)
        humans = [message["msg"].removeprefix("Human: ") for message in kept if _is_human(message)]
        due = [entry for entry in self.entries.values() if not entry.refused]
        texts = [entry.text for entry in due]
        for text in texts:
            if (count := humans.count(text)) != 1:
                self._note("lost" if not count else "doubled", f"{text} is in the history {count} times")
        for text in humans:
            if text not in texts:
                self._note("crossed" if text not in self._texts() else "refused but kept", text)
        common = [text for text in humans if text in texts]
        if len(common) == len(set(common)) and common != [text for text in texts if text in common]:
            self._note("misordered", f"the history has {common}")
        self._check_answers(kept, due)

    def _check_answers(self, kept: list[Mapping[str, Any]], due: list[Entry]) -> None:
        answers = {message["id"]: index for index, message in enumerate(kept) if not _is_human(message)}
        places = {
            message["msg"].removeprefix("Human: "): i for i, message in enumerate(kept) if _is_human(message)
        }
        if len({message["id"] for message in kept}) != len(kept):
            self._note("doubled", "ids of the history repeat")
        for entry in due:
            if entry.end is None or entry.end["type"] != "message":
                continue
            place = answers.pop(entry.end["id"], None)
            if place is None:
                self._note("lost", f"the answer to {entry.text} is not in the history")
            elif kept[place]["msg"] != f"Bot: {entry.end['msg']}":
                self._note("changed", f"{entry.end} is {kept[place]}")
            elif entry.text in places and place != places[entry.text] + 1:
                self._note("misordered", f"the answer to {entry.text} stands elsewhere")
        for answer in answers:
            self._note("unseen", f"the history has an answer that was never sent: {kept[answers[answer]]}")

    def _end(self, message_id: str, frame: Frame) -> None:
        entry = self._entry(message_id, frame)
        if entry is None:
            return
        if entry.end is not None:
            if entry.end == frame:
                self.repeated += 1
            elif self.has_lost and entry.end["type"] == frame["type"] == "message":
                entry.end = frame  # answered again, as protocol.md says
                self.repeated += 1
            else:
                self._note("ended twice", f"{entry.text}: {entry.end}, {frame}")
            return
        if (oldest := self.open[0]) is not entry and frame["type"] == "message":
            self._note("misordered", f"{entry.text} ended before {oldest.text} (accepted: {oldest.accepted})")
        entry.end = frame
        entry.refused = "turn" not in frame
        if entry.refused and entry.accepted:
            self._note("refused", f"{entry.text} was accepted before {frame}")
        if frame["type"] == "message" and not _answers(entry.text, frame):
            self._note("crossed", f"{entry.text} was answered {frame}")

    def _entry(self, message_id: str, frame: Frame) -> Entry | None:
        entry = self.entries.get(message_id)
        if entry is None:
            self._note("crossed", f"a frame of another session: {frame}")
        return entry

    def _texts(self) -> set[str]:
        return {entry.text for entry in self.entries.values()}

    def _note(self, kind: str, text: str) -> None:
        self.problems.append(f"{kind}: {self.name}: {text}")


def _is_human(message: Mapping[str, Any]) -> bool:
    return str(message["msg"]).startswith("Human: ")


def _answers(text: str, frame: Frame) -> bool:
    right = f"You said: {text}"
    if "incomplete" in frame or frame.get("stopped"):
        return right.startswith(frame["msg"]) or str(frame["msg"]).startswith(right)
    return str(frame["msg"]).startswith(right)
