"""The SQuAD benchmark's own arithmetic: which questions are drawn, what an answer is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eval.answers import Share
from eval.bench.squad import draw, figures, judge


def answer(
    *sentences: tuple[str, list[int]], quotes: dict[int, str] | None = None, abstained: bool = False
) -> dict[str, Any]:
    return {
        "answer": " ".join(text for text, _ in sentences),
        "abstained": abstained,
        "sentences": [{"text": text, "citations": markers} for text, markers in sentences],
        "citations": [{"marker": marker, "quote": quote} for marker, quote in (quotes or {}).items()],
        "timings_ms": {"total": 5.0},
    }


def test_only_the_first_two_sentences_and_their_quotes_count() -> None:
    said = answer(
        ("One.", [1]), ("Two.", [2]), ("Rollo led them.", [3]), quotes={1: "One.", 2: "Two.", 3: "Rollo led them."}
    )
    assert not judge(said, ["Rollo"]).answered
    assert not judge(said, ["Rollo"]).quoted
    assert judge(said, ["two"]).answered
    assert judge(said, ["two"]).length == 3


def test_a_quote_counts_apart_from_the_sentence_that_cites_it() -> None:
    said = answer(("Their leader was him.", [1]), quotes={1: "under their leader Rollo", 2: "never cited: Normandy"})
    assert (judge(said, ["Rollo"]).answered, judge(said, ["Rollo"]).quoted) == (False, True)
    assert not judge(said, ["Normandy"]).quoted


def test_an_abstention_answers_nothing_even_where_its_text_would_match() -> None:
    outcome = judge(answer(("Rollo", [1]), quotes={1: "Rollo"}, abstained=True), ["Rollo"])
    assert (outcome.abstained, outcome.answered, outcome.quoted) == (True, False, False)


def test_the_table_keeps_answerable_and_unanswerable_apart() -> None:
    good, silent = judge(answer(("Rollo", [])), ["Rollo"]), judge(answer(abstained=True), ["Rollo"])
    rows = dict(figures([good, good, silent], [silent, good]))
    assert rows["answer of at most 2 sentences contains gold"] == Share(2, 3)
    assert rows["false abstention"] == Share(1, 3)
    assert rows["abstention on unanswerable"] == Share(1, 2)
    assert rows["ask p50 ms"] == 5.0


def test_a_seed_draws_the_same_questions_and_separates_those_without_answers(tmp_path: Path) -> None:
    rows = [{"_id": str(n), "text": f"Q{n}", "metadata": {"answers": ["x"] if n % 2 else []}} for n in range(40)]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first = draw(tmp_path, answerable=5, unanswerable=100, seed=1)
    assert first == draw(tmp_path, answerable=5, unanswerable=100, seed=1)
    assert first != draw(tmp_path, answerable=5, unanswerable=100, seed=2)
    assert [len(part) for part in first] == [5, 20]
    assert all(question.golds for question in first[0])
    assert not any(question.golds for question in first[1])
