"""An agents' log: what users and their agents said over some weeks, one JSON object a line, and questions about it beside it.

log.jsonl        {"id": "t001", "user": "alice", "session": "...", "speaker": "Alice", "role": "user", "time": "2026-03-02T09:00", "text": "..."}
questions.jsonl  {"id": "m01", "user": "alice", "question": "...", "category": "update", "answers": ["..."], "evidence": ["t001"],
                  "outdated": ["t000"]}; without `answers` it has no answer
"""

from __future__ import annotations

from pathlib import Path

from eval.conversations import Conversation, Field, MemoryQuestion, Turn
from eval.jsonl import read_objects

QUESTIONS = "questions.jsonl"


def read_agents_log(file: Path) -> list[Conversation]:
    """Return a conversation for each user, in the order in which they come.

    Raises:
        DatasetError: a line of either file is malformed, or a question is about nobody's log or an unknown turn.
    """
    turns: dict[str, list[Turn]] = {}
    for line, row in read_objects(file):
        item = Field(str(file), "", row, line)
        user = item.get("user").text()
        id, text, speaker, role, session = (
            item.get(key).text() for key in ("id", "text", "speaker", "role", "session")
        )
        turns.setdefault(user, []).append(Turn(id, text, speaker, role, session, item.get("time").time()))
    questions: dict[str, list[MemoryQuestion]] = {}
    beside = file.with_name(QUESTIONS)
    for line, row in read_objects(beside):
        item = Field(str(beside), "", row, line)
        user = item.get("user").text()
        if user not in turns:
            raise item.get("user").fault(f"{user!r} has no turn in {file.name}")
        questions.setdefault(user, []).append(_question(item, {turn.id for turn in turns[user]}))
    return [Conversation(user, tuple(said), tuple(questions.get(user, ()))) for user, said in turns.items()]


def _question(item: Field, known: set[str]) -> MemoryQuestion:
    def ids(key: str) -> tuple[str, ...]:
        named = tuple(one.text() for one in item.get(key).items()) if item.has(key) else ()
        if wrong := [one for one in named if one not in known]:
            raise item.get(key).fault(f"{wrong[0]!r} is no turn of this user")
        return named

    answers = tuple(one.text() for one in item.get("answers").items()) if item.has("answers") else ()
    return MemoryQuestion(
        item.get("id").text(), item.get("question").text(), item.get("category").text(), answers, ids("evidence"),
        outdated=ids("outdated"), answerable=bool(answers),
    )  # fmt: skip
