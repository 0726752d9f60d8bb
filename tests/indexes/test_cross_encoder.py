"""The reader of question and text together tells a text that answers from one that does not."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from indexes.cross_encoder import CrossEncoder

QUESTION = "How long is parental leave?"
ANSWER = "Parental leave is 20 weeks at full pay."
NEAR = "Parental leave is paid by the company."
OFF = "The kiln runs at 900 degrees."


@pytest.fixture(scope="module")
def reader() -> CrossEncoder:
    return CrossEncoder(threads=1)


@pytest.mark.parametrize(
    ("question", "answer", "off_topic"),
    [
        (QUESTION, ANSWER, OFF),
        ("At what temperature does the kiln run?", OFF, ANSWER),
        ("Who approves flights?", "Flights are approved by the head of the department.", "Lunch is served at noon."),
        ("What does the HV-40 weigh?", "The HV-40 weighs 2.4 kg.", "The contract ends in March 2027."),
    ],
)
def test_a_text_that_answers_scores_far_above_one_that_is_off_topic(
    reader: CrossEncoder, question: str, answer: str, off_topic: str
) -> None:
    good, bad = reader.scores(question, [answer, off_topic])
    assert good > 3
    assert bad < -5
    assert good - bad > 10


def test_a_text_on_the_topic_that_does_not_answer_lies_between(reader: CrossEncoder) -> None:
    answer, near, off = reader.scores(QUESTION, [ANSWER, NEAR, OFF])
    assert answer - near > 3
    assert near - off > 3


def test_scores_come_in_the_order_in_which_the_texts_were_given(reader: CrossEncoder) -> None:
    texts = (ANSWER, NEAR, OFF)
    expected = dict(zip(texts, reader.scores(QUESTION, texts), strict=True))
    for order in permutations(texts):
        np.testing.assert_array_equal(reader.scores(QUESTION, order), [expected[text] for text in order])


def test_a_text_scores_exactly_the_same_alone_and_among_others(reader: CrossEncoder) -> None:
    texts = [ANSWER, NEAR, OFF, "", "The kiln is warm. " * 100]
    together = reader.scores(QUESTION, texts)
    alone = [reader.scores(QUESTION, [text])[0] for text in texts]
    np.testing.assert_array_equal(together, alone)


def test_scores_are_one_float_a_text(reader: CrossEncoder) -> None:
    scores = reader.scores(QUESTION, [ANSWER, OFF, "", "Ärger 🏖️ 休暇", ANSWER])
    assert scores.shape == (5,)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert scores[0] == scores[4], "the same text in the same call"


def test_no_texts_give_no_scores_and_load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = CrossEncoder()
    monkeypatch.setattr(reader, "_model", None)
    scores = reader.scores(QUESTION, [])
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


def test_what_lies_behind_the_limit_counts_for_nothing(reader: CrossEncoder) -> None:
    filler = "The kiln is warm. " * 100
    [buried] = reader.scores(QUESTION, [filler + ANSWER])
    [plain] = reader.scores(QUESTION, [filler + OFF])
    assert buried == plain
    [first] = reader.scores(QUESTION, [ANSWER + " " + filler])
    assert first > plain + 3


def test_the_same_question_gives_the_same_scores_again(reader: CrossEncoder) -> None:
    first = reader.scores(QUESTION, [ANSWER, NEAR, OFF])
    np.testing.assert_array_equal(reader.scores(QUESTION, [ANSWER, NEAR, OFF]), first)
    np.testing.assert_array_equal(CrossEncoder(threads=1).scores(QUESTION, [ANSWER, NEAR, OFF]), first)
