"""Conversation files are read as they are published, and a broken one says where."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from eval.conversations import read_conversations
from indexes.errors import DatasetError

AGENTS = Path(__file__).parents[2] / "data" / "agents"


def locomo() -> list[dict[str, Any]]:
    """Return a file of LoCoMo's shape with one conversation of two sessions."""
    said = [("D1:1", "Ann", "Hello Ben!"), ("D1:2", "Ben", "I bought a kayak.")]
    later = [("D3:1", "Ann", "My sister moved to Graz.")]

    def turns(rows: list[tuple[str, str, str]]) -> list[dict[str, str]]:
        return [{"dia_id": id, "speaker": speaker, "text": text} for id, speaker, text in rows]

    talk = {
        "speaker_a": "Ann", "speaker_b": "Ben", "session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": turns(said),
        "session_2_date_time": "2:00 pm on 9 May, 2023", "session_3_date_time": "12:05 am on 1 June, 2023",
        "session_3": turns(later),
    }  # fmt: skip
    asked = [
        {"question": "What did Ben buy?", "answer": "a kayak", "evidence": ["D1:02"], "category": 4},
        {"question": "What do they own?", "answer": 2, "evidence": ["D1:2; D3:1", "D9:9"], "category": 1},
        {"question": "What did Ann buy?", "adversarial_answer": "a kayak", "evidence": ["D1:2"], "category": 5},
    ]
    return [{"sample_id": "conv-1", "conversation": talk, "qa": asked}]


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "talks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_locomo_file_gives_turns_with_their_times_and_questions_with_their_evidence(tmp_path: Path) -> None:
    (talk,) = read_conversations(written(tmp_path, locomo()))
    assert [(turn.id, turn.speaker, turn.session) for turn in talk.turns] == [
        ("D1:1", "Ann", "session_1"), ("D1:2", "Ben", "session_1"), ("D3:1", "Ann", "session_3"),
    ]  # fmt: skip
    assert talk.turns[2].time == datetime(2023, 6, 1, 0, 5)
    first, second, third = talk.questions
    assert (first.evidence, first.answers, first.category) == (("D1:2",), ("a kayak",), "4 single-hop")
    assert (second.evidence, second.unknown, second.answers) == (("D1:2", "D3:1"), 1, ("2",))
    assert (third.answerable, third.answers) == (False, ())


def test_a_longmemeval_file_gives_a_conversation_for_each_question(tmp_path: Path) -> None:
    said = [
        {"role": "user", "content": "I adopted a cat.", "has_answer": True},
        {"role": "assistant", "content": "Congratulations!"},
    ]
    item = {
        "question_id": "q7_abs", "question_type": "single-session-user", "question": "Which dog?", "answer": "none told",
        "haystack_sessions": [said], "haystack_dates": ["2023/05/20 (Sat) 02:21"], "question_date": "2023/05/30 (Tue) 23:40",
    }  # fmt: skip
    (talk,) = read_conversations(written(tmp_path, [item]))
    assert [(turn.role, turn.time) for turn in talk.turns] == [
        ("user", datetime(2023, 5, 20, 2, 21)), ("assistant", datetime(2023, 5, 20, 2, 21)),
    ]  # fmt: skip
    (question,) = talk.questions
    assert (question.evidence, question.answerable) == (("1:1",), False)


def test_the_short_shape_of_longmemeval_is_read_too(tmp_path: Path) -> None:
    item = {"id": "a", "question_type": "t", "conversation": [{"role": "user", "content": "I rise at six."}]}
    item["questions"] = [{"id": "q1", "question": "When do I rise?", "answer": "six"}]
    (talk,) = read_conversations(written(tmp_path, {"data": [item]}))
    assert (talk.questions[0].answers, talk.questions[0].evidence) == (("six",), ())


def test_the_sample_agents_log_is_whole() -> None:
    talks = read_conversations(AGENTS / "log.jsonl")
    questions = [question for talk in talks for question in talk.questions]
    assert sum(len(talk.turns) for talk in talks) >= 140
    assert len(questions) >= 48
    assert all(bool(question.evidence) == question.answerable for question in questions)
    assert sum(bool(question.outdated) for question in questions) >= 10


def broken(change: Any) -> list[dict[str, Any]]:
    file = locomo()
    change(file[0])
    return file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "not JSON"),
        ("[]", "no conversation"),
        ('{"rows": 1}', "expected a list, got dict"),
        ([{"name": 1}], "neither LoCoMo"),
        (broken(lambda one: one["qa"][1].pop("question")), r"\[0\].qa\[1\]: 'question' is missing"),
        (broken(lambda one: one["qa"][0].update(category=9)), r"\[0\].qa\[0\].category: expected a category"),
        (
            broken(lambda one: one["conversation"].update(session_1_date_time="noon")),
            "session_1_date_time: 'noon' is no time",
        ),
        (
            broken(lambda one: one["conversation"]["session_3"][0].update(text=" ")),
            r"session_3\[0\].text: expected a text",
        ),
        (broken(lambda one: one["conversation"].update(session_1=7)), "session_1: expected a list, got int"),
        (locomo() * 2, "'conv-1' comes twice"),
        ([{"qa": [], "conversation": {}}], "has no turn"),
        ([{"id": "a", "questions": [], "conversation": [{"role": "cat", "content": "x"}]}], "role: expected user"),
    ],
)
def test_a_broken_file_says_what_is_wrong_and_where(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_conversations(written(tmp_path, content))


def test_a_broken_log_names_file_and_line(tmp_path: Path) -> None:
    turn = {"id": "t1", "user": "a", "session": "s", "speaker": "A", "role": "user", "time": "2026-01-02", "text": "x"}
    log, questions = tmp_path / "log.jsonl", tmp_path / "questions.jsonl"
    log.write_text(json.dumps(turn) + "\n" + json.dumps(turn | {"time": "soon"}) + "\n")
    with pytest.raises(DatasetError, match=r"log\.jsonl:2: time: 'soon'"):
        read_conversations(log)
    log.write_text(json.dumps(turn) + "\n")
    questions.write_text(
        json.dumps({"id": "m1", "user": "a", "question": "?", "category": "c", "evidence": ["t9"]}) + "\n"
    )
    with pytest.raises(DatasetError, match=r"questions\.jsonl:1: evidence: 't9' is no turn"):
        read_conversations(log)
    questions.unlink()
    with pytest.raises(DatasetError, match=r"questions\.jsonl: cannot be read"):
        read_conversations(log)
