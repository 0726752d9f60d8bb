"""Answer measures: the SQuAD script's normal form, containment that respects numbers, facts, citations, abstention."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval import answers
from eval.answers import Share


def test_squad_normal_form_is_that_of_the_official_script() -> None:
    assert answers.squad_normalise("  The  U.S. and a (small) Army!") == "us and small army"


def test_exact_match_takes_any_gold_answer() -> None:
    assert answers.exact_match("the Normans.", ["Vikings", "Normans"])
    assert not answers.exact_match("the Normans of Sicily", ["Normans"])


@pytest.mark.parametrize(
    ("answer", "golds", "expected"),
    [
        ("10th and 11th centuries", ["in the 10th and 11th centuries"], 2 * 4 / (4 + 5)),
        ("red red blue", ["red"], 2 * 1 / (3 + 1)),
        ("nothing alike", ["gold"], 0.0),
        ("the", ["a"], 1.0),
        ("x", [""], 0.0),
        ("x", [], 0.0),
        ("blue", ["red", "blue sky", "blue"], 1.0),
    ],
)
def test_token_f1_is_that_of_the_best_gold_answer(answer: str, golds: list[str], expected: float) -> None:
    assert answers.token_f1(answer, golds) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Leave is **20** weeks [1].", "20 weeks"),
        ("It costs € 1,200.50 today", "€1200.50"),
        ("The limit is EUR\u00a0190 per night", "EUR 190"),
        ("a 20-week leave", "20 week"),
        ("Warsaw's population", "Warsaw"),
        ("in the 1980s", "1980"),
        ("Growth was 12 % last year", "12%"),
        ("the Straße", "STRASSE"),
        ("| Berlin | 142 |", "Berlin 142"),
    ],
)
def test_containment_sees_through_markup_case_and_number_format(text: str, gold: str) -> None:
    assert answers.contains(text, ["no such thing", gold])


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("120 weeks", "20 weeks"),
        ("3.5 days", "35 days"),
        ("2.5 days", "5 days"),
        ("20 paid weeks", "20 weeks"),
        ("see the price list [7]", "7"),
        ("1,200 euro", "200"),
        ("anything", "..."),
        ("anything", ""),
    ],
)
def test_containment_does_not_take_one_number_or_phrase_for_another(text: str, gold: str) -> None:
    assert not answers.contains(text, [gold])


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_words_that_stand_apart_are_found_between_any_others(before: str, gold: str, after: str) -> None:
    text = f"{before.replace('[', '')} \n {gold.replace('[', '')} \n {after.replace('[', '')}"
    assert answers.contains(text, [gold.replace("[", "")]) == bool(answers.words(gold.replace("[", "")))


def test_fact_recall_wants_one_alternative_of_each_fact() -> None:
    facts = [["20 weeks", "twenty weeks"], ["full pay"], ["from 2026"]]
    assert answers.fact_recall("Twenty weeks at full pay.", facts) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="at least one"):
        answers.fact_recall("anything", [])


def test_citations_count_documents_once() -> None:
    cited, reference = ["a", "a", "b"], ["a", "c", "d"]
    assert answers.citation_precision(cited, reference) == 0.5
    assert answers.citation_recall(cited, reference) == pytest.approx(1 / 3)
    assert answers.citation_precision([], reference) == answers.citation_recall(cited, []) == 0.0


def test_abstentions_are_counted_apart_for_answerable_and_unanswerable() -> None:
    outcomes = [(True, True), (True, False), (True, False), (False, True), (False, False)]
    assert answers.false_abstention(outcomes) == Share(1, 3)
    assert answers.right_abstention(outcomes) == Share(1, 2)


def test_a_share_of_nothing_has_no_value() -> None:
    assert Share(0, 0).to_json() == {"count": 0, "of": 0, "value": None}
    assert str(Share(3, 4)) == "3/4 = 0.750"


@given(st.text(max_size=80), st.text(max_size=80))
def test_f1_is_symmetric_and_one_for_equal_texts(one: str, other: str) -> None:
    assert answers.token_f1(one, [other]) == pytest.approx(answers.token_f1(other, [one]))
    assert answers.token_f1(one, [one]) == 1.0
