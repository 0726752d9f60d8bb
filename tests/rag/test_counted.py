from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.claims import claim_of
from rag.counted import FEATURES, Known, contradicted, rows
from rag.grounding import check_support

SOURCE = "Staff get 20 weeks of paid leave in Sweden. Managers approve it within 5 days, or 26 in Brno."
SENTENCE = st.lists(
    st.sampled_from(["staff", "Brno", "20", "99", "weeks", "not", "paid", "the", "passages"]), min_size=1, max_size=9
).map(lambda words: "Rule " + " ".join(words) + ".")


def column(name: str, *sentences: str) -> list[float]:
    counted = rows([claim_of(sentence) for sentence in sentences], Known([SOURCE]))
    return [float(value) for value in counted[:, FEATURES.index(name)]]


def test_a_quotation_lacks_nothing_and_an_invention_lacks_its_words() -> None:
    quoted, invented = "Staff get 20 weeks of paid leave in Sweden.", "Bananas grow on 12 trees near Lima."
    assert column("share lacking", quoted, invented) == [0.0, 1.0]
    assert column("new fours of all words", quoted, invented) == [0.0, 1.0]
    assert column("foreign numbers", quoted, invented) == [0.0, 1.0]
    assert column("foreign names", quoted, invented) == [0.0, 1.0]


def test_what_an_answer_says_of_itself_lacks_nothing() -> None:
    assert column("lacking", "Based on the provided passages, staff get leave.") == [0.0]
    assert column("about itself", "Based on the provided passages, staff get leave.", "Staff get leave.") == [1.0, 0.0]


def test_an_addition_at_the_end_is_seen_apart_from_one_at_the_start() -> None:
    assert column("lacking at the end", "Staff get paid leave yearly.", "Yearly staff get paid leave.") == [1.0, 0.0]


def test_a_sentence_is_seen_with_the_answer_around_it() -> None:
    pair = ("Staff get leave.", "Bananas grow near Lima.")
    own = column("lacking", *pair)
    assert column("others' lacking", *pair) == own[::-1]
    assert column("total lacking", *pair) == [sum(own)] * 2
    assert column("greatest lacking", *pair) == [max(own)] * 2


@given(st.lists(SENTENCE, max_size=6), st.lists(SENTENCE, max_size=3))
def test_rows_are_finite_and_one_a_claim(answer: list[str], passages: list[str]) -> None:
    counted = rows([claim_of(sentence) for sentence in answer], Known(passages))
    assert counted.shape == (len(answer), len(FEATURES))
    assert np.isfinite(counted).all()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Staff get 99 weeks of paid leave in Sweden.", True),
        ("Staff get 99 weeks of leave.", True),
        ("Staff get 26 weeks of paid leave in Sweden.", True),
        ("Staff never get 20 weeks of paid leave in Sweden.", True),
        ("Staff get 20 weeks of paid leave in Sweden.", False),
        ("Managers approve it within 5 days.", False),
        ("Bananas grow on 12 trees.", False),
    ],
)
def test_a_sentence_repeated_with_another_number_or_a_negation_is_a_contradiction(
    sentence: str, expected: bool
) -> None:
    assert contradicted(claim_of(sentence), Known([SOURCE])) is expected


@given(st.lists(SENTENCE, min_size=1, max_size=5), st.lists(SENTENCE, max_size=3))
def test_an_answers_score_is_the_product_of_its_sentences_and_the_same_each_time(
    answer: list[str], passages: list[str]
) -> None:
    support = check_support(" ".join(answer), passages)
    assert support == check_support(" ".join(answer), passages)
    assert support.score == pytest.approx(np.prod([sentence.support for sentence in support.sentences]))


def test_citation_markers_change_nothing() -> None:
    plain, marked = (check_support(text, [SOURCE]).score for text in ("Staff get leave.", "Staff get leave [1]."))
    assert plain == marked
