"""The evaluation of memory, through the real one: what it counts is what was recalled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from eval.conversations import Conversation, MemoryQuestion, Turn
from eval.memory import MemoryRun, Outcome, evaluate_memory
from eval.memory_report import markdown, question_rows, report, written
from rag.lore.items import MemoryItem
from rag.loremill import Loremill

SAID = (
    ("t1", "Ann", "s1", "I keep bees on the roof of the library."),
    ("t2", "Ben", "s1", "The choir sings on Thursdays."),
    ("t3", "Ann", "s2", "My tent is green."),
    ("t4", "Ann", "s3", "I sold the green tent and bought a red one."),
)


class FirstItem:
    """Answers with the text of the first item: an answerer whose figures are known."""

    def answer(self, question: str, items: Sequence[MemoryItem]) -> str:
        return items[0].text if items and "nothing" not in question else ""


def talk() -> Conversation:
    turns = tuple(
        Turn(id, text, speaker, "user", session, datetime(2026, 1, int(session[1]), 9))
        for id, speaker, session, text in SAID
    )
    questions = (
        MemoryQuestion("q1", "Where does Ann keep bees?", "place", ("roof of the library",), ("t1",)),
        MemoryQuestion(
            "q2", "Did Ann sell the green tent and buy a red one?", "update", ("red",), ("t4",), outdated=("t3",)
        ),
        MemoryQuestion("q3", "Is there nothing about a submarine?", "none", (), answerable=False),
    )
    return Conversation("ann", turns, questions)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRun]:
    with Loremill.open(tmp_path_factory.mktemp("memory"), device="cpu") as mill:
        yield evaluate_memory(mill, [talk()], answerer=FirstItem())


def test_evidence_that_is_recalled_is_counted_at_every_budget(run: MemoryRun) -> None:
    bees = run.outcomes[0]
    assert {key: bees.found[key] for key in ("text@250", "prompt@1000", "turns")} == {
        "text@250": 1, "prompt@1000": 1, "turns": 1,
    }  # fmt: skip


def test_recalled_text_and_prompt_stay_within_the_budget(run: MemoryRun) -> None:
    assert all(0 < tokens <= 1000 for outcome in run.outcomes for tokens in outcome.tokens)
    assert all(outcome.tokens[0] < outcome.tokens[1] for outcome in run.outcomes)


def test_answers_are_scored_and_an_empty_one_is_an_abstention(run: MemoryRun) -> None:
    found = report(run, name="x.json")["answers"]
    assert found["place"]["contained"] == 1
    assert 0 < found["place"]["token_f1"] < 1
    assert (found["none"]["abstained"], found["answerable"]["abstained"]) == (1, 0)
    assert found["place"]["told_in_1000"] == 1


def test_what_is_newer_is_told_before_what_is_outdated(run: MemoryRun) -> None:
    assert [one.newest_first for one in run.outcomes] == [None, True, None]


def test_the_same_conversation_again_adds_no_fact(run: MemoryRun) -> None:
    assert [one.again for one in run.stored] == [0]


def outcome(category: str, evidence: int, found: int, *, answerable: bool = True) -> Outcome:
    question = MemoryQuestion("q", "?", category, (), tuple(f"t{n}" for n in range(evidence)), answerable=answerable)
    keys = [f"{name}@{budget}" for name in ("text", "prompt") for budget in (250, 500, 1000, 2000)]
    return Outcome("c", question, dict.fromkeys([*keys, "turns"], found), (1, 1), False, None, None, 1.0)


def test_evidence_is_pooled_over_turns_and_averaged_over_questions_and_the_unanswerable_stand_apart() -> None:
    outcomes = (outcome("a", 3, 3), outcome("b", 1, 0), outcome("b", 0, 0), outcome("z", 2, 1, answerable=False))
    found = report(MemoryRun(outcomes, ()), name="x.json")
    assert found["evidence"]["answerable"]["in_text@1000"] == 3 / 4
    assert found["per_question"]["answerable"]["in_text@1000"] == 1 / 2
    assert found["evidence"]["z"]["in_turns"] == 1 / 2
    assert found["answers"]["a"]["token_f1"] is None


def test_the_report_is_written_whole_and_holds_a_row_for_each_question(run: MemoryRun, tmp_path: Path) -> None:
    written(run, tmp_path / "out", name="x.json")
    rows = [json.loads(line) for line in (tmp_path / "out" / "questions.jsonl").read_text().splitlines()]
    assert rows == json.loads(json.dumps(question_rows(run)))
    assert [row["id"] for row in rows] == ["q1", "q2", "q3"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["questions"] == 3
    assert "| 1.000 |" in (tmp_path / "out" / "report.md").read_text()


def test_a_bar_in_a_name_does_not_break_a_table(run: MemoryRun) -> None:
    barred = tuple(replace(one, question=replace(one.question, category="a|b")) for one in run.outcomes)
    assert "| a\\|b |" in markdown(report(MemoryRun(barred, run.stored), name="x"))
