"""LongMemEval's files: one question each over sessions of one user with an assistant.

`has_answer` marks the evidence; a question whose id ends in `_abs` has no answer. Source: Wu et al. 2024, arXiv:2410.10813.
"""

from __future__ import annotations

from eval.conversations import Conversation, Field, MemoryQuestion, Turn

_TIME = ("%Y/%m/%d (%a) %H:%M", "%Y/%m/%d %H:%M", "%Y/%m/%d")
_UNANSWERABLE = "_abs"


def read_longmemeval(item: Field) -> Conversation:
    """Return the conversation of one item, of the published shape or of {"id", "conversation", "questions"}.

    Raises:
        DatasetError: a part is missing or malformed.
    """
    if item.has("questions"):
        return _short(item)
    name = item.get("question_id").text()
    turns: list[Turn] = []
    evidence: list[str] = []
    sessions = item.get("haystack_sessions").items()
    dates = item.get("haystack_dates").items()
    if len(dates) != len(sessions):
        raise item.fault(f"{len(sessions)} haystack_sessions, but {len(dates)} haystack_dates")
    for number, (session, date) in enumerate(zip(sessions, dates, strict=True), start=1):
        time = date.time(*_TIME)
        for place, said in enumerate(session.items(), start=1):
            if not str(said.get("content").value).strip():
                continue
            turn = _turn(said, f"{number}:{place}", f"session_{number}")
            turns.append(Turn(turn.id, turn.text, turn.speaker, turn.role, turn.session, time))
            if said.has("has_answer") and said.get("has_answer").value:
                evidence.append(turn.id)
    question = MemoryQuestion(
        name, item.get("question").text(), item.get("question_type").text(), _answers(item), tuple(evidence),
        answerable=not name.endswith(_UNANSWERABLE),
    )  # fmt: skip
    return Conversation(name, tuple(turns), (question,))


def _short(item: Field) -> Conversation:
    name = item.get("id").text()
    category = item.get("question_type").text() if item.has("question_type") else "all"
    turns = [
        _turn(said, str(place), "session_1") for place, said in enumerate(item.get("conversation").items(), start=1)
    ]
    questions = [
        MemoryQuestion(one.get("id").text(), one.get("question").text(), category, _answers(one), answerable=not name.endswith(_UNANSWERABLE))
        for one in item.get("questions").items()
    ]  # fmt: skip
    return Conversation(name, tuple(turns), tuple(questions))


def _turn(said: Field, id: str, session: str) -> Turn:
    role = said.get("role").text()
    if role not in {"user", "assistant", "system", "tool"}:
        raise said.get("role").fault(f"expected user, assistant, system or tool, got {role!r}")
    return Turn(id, said.get("content").text(), "", role, session, None)


def _answers(item: Field) -> tuple[str, ...]:
    return (item.get("answer").text(),)
