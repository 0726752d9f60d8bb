"""LoCoMo's files: long conversations of two people, with questions in five categories.

1 multi-hop, 2 temporal, 3 open, 4 single-hop, 5 unanswerable. Source: Maharana et al. 2024, arXiv:2402.17753.
"""

from __future__ import annotations

import re
from itertools import count

from eval.conversations import Conversation, Field, MemoryQuestion, Turn

CATEGORIES = {1: "1 multi-hop", 2: "2 temporal", 3: "3 open", 4: "4 single-hop", 5: "5 unanswerable"}
UNANSWERABLE = 5

_TURN_ID = re.compile(r"D(\d+):(\d+)")
_TIME = ("%I:%M %p on %d %B, %Y", "%I:%M %p on %d %B %Y")


def read_locomo(item: Field) -> Conversation:
    """Return one conversation. Photographs are left out, of which the set has captions; a turn is what was said.

    Raises:
        DatasetError: a part is missing or malformed.
    """
    turns = tuple(_turns(item.get("conversation")))
    known = {turn.id for turn in turns}
    questions = tuple(_question(one, number, known) for number, one in enumerate(item.get("qa").items(), start=1))
    name = item.get("sample_id").text() if item.has("sample_id") else item.where
    return Conversation(name, turns, questions)


def _turns(conversation: Field) -> list[Turn]:
    turns: list[Turn] = []
    for number in count(1):
        session = f"session_{number}"
        if not conversation.has(f"{session}_date_time") and not conversation.has(session):
            return turns
        if not conversation.has(session):
            continue  # some have a date and no turns
        time = conversation.get(f"{session}_date_time").time(*_TIME)
        for said in conversation.get(session).items():
            id, text, speaker = (said.get(key).text() for key in ("dia_id", "text", "speaker"))
            turns.append(Turn(id, text, speaker, "user", session, time))
    return turns


def _question(item: Field, number: int, known: set[str]) -> MemoryQuestion:
    category = item.get("category").value
    if category not in CATEGORIES:
        raise item.get("category").fault(f"expected a category from 1 to 5, got {category!r}")
    named = [
        f"D{int(day)}:{int(turn)}"
        for one in item.get("evidence").items()
        for day, turn in _TURN_ID.findall(str(one.value))
    ]
    evidence = tuple(dict.fromkeys(one for one in named if one in known))
    answers = (item.get("answer").text(),) if category != UNANSWERABLE and item.has("answer") else ()
    return MemoryQuestion(
        f"q{number:03}", item.get("question").text(), CATEGORIES[category], answers, evidence,
        unknown=len(named) - len([one for one in named if one in known]), answerable=category != UNANSWERABLE,
    )  # fmt: skip
