"""Word by word: a question's word that the text has no counterpart for shows as the one that is not covered."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.late_interaction import LateInteraction

QUESTION = "How heavy is the HV-40 valve?"
VALVE = "The HV-40 valve weighs 2 kg."
CANTEEN = "The canteen opens at noon."


@pytest.fixture(scope="module")
def reader() -> LateInteraction:
    return LateInteraction(threads=1)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (QUESTION, ["How", "heavy", "is", "the", "HV", "-", "40", "valve", "?"]),
        ("Änne's  leave,\n2026", ["Änne", "'", "s", "leave", ",", "2026"]),
        ("unbelievableness", ["unbelievableness"]),
        ("", []),
    ],
)
def test_words_come_as_they_are_written_in_their_order(
    reader: LateInteraction, question: str, words: list[str]
) -> None:
    assert reader.coverage(question, [VALVE])[0] == words


def test_coverage_has_a_row_for_each_text_and_a_column_for_each_word(reader: LateInteraction) -> None:
    for texts in ([], [VALVE], [VALVE, CANTEEN, ""]):
        words, covered = reader.coverage(QUESTION, texts)
        assert covered.shape == (len(texts), len(words)) == (len(texts), 9)
        assert covered.dtype == np.float32


@pytest.mark.parametrize(
    "text", [VALVE, CANTEEN, QUESTION, "", " ", "HV-40", "Ärger 🏖️ 休暇", "word " * 400, "\x00\n\t"]
)
def test_every_value_is_a_cosine(reader: LateInteraction, text: str) -> None:
    _, covered = reader.coverage(QUESTION, [text, VALVE])
    assert np.isfinite(covered).all()
    assert (np.abs(covered) <= 1 + 1e-6).all()


@pytest.mark.parametrize(
    ("question", "text", "covered_word", "uncovered_word"),
    [
        (QUESTION, "The HV-40 valve is painted red.", "valve", "heavy"),
        ("What does lunch cost in Brno?", "Lunch costs 9 euros in Utrecht.", "lunch", "Brno"),
        ("Is the kiln insured against hail?", "The kiln is insured against fire.", "insured", "hail"),
    ],
)
def test_a_word_of_the_text_is_better_covered_than_one_that_it_lacks(
    reader: LateInteraction, question: str, text: str, covered_word: str, uncovered_word: str
) -> None:
    words, covered = reader.coverage(question, [text])
    value = dict(zip(words, covered[0].tolist(), strict=True))
    assert value[covered_word] > value[uncovered_word] + 0.1


def test_the_text_that_holds_a_word_covers_it_better_than_one_that_does_not(reader: LateInteraction) -> None:
    words, covered = reader.coverage(QUESTION, [VALVE, CANTEEN])
    for word in ("HV", "40", "valve"):
        column = words.index(word)
        assert covered[0, column] > covered[1, column] + 0.2


def test_a_text_covers_itself_wholly(reader: LateInteraction) -> None:
    _, covered = reader.coverage(VALVE, [VALVE, CANTEEN])
    np.testing.assert_allclose(covered[0], 1.0, atol=1e-3)
    assert covered[1].mean() < 0.9


def test_rows_follow_the_order_of_the_texts(reader: LateInteraction) -> None:
    _, forwards = reader.coverage(QUESTION, [VALVE, CANTEEN])
    _, backwards = reader.coverage(QUESTION, [CANTEEN, VALVE])
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-4)


def test_what_lies_behind_the_limit_covers_nothing(reader: LateInteraction) -> None:
    filler = "The canteen opens at noon. " * 60
    words, covered = reader.coverage("Where is the zebra?", [filler + "zebra", filler + "lunch", "The zebra is here."])
    column = words.index("zebra")
    np.testing.assert_array_equal(covered[0], covered[1])
    assert covered[2, column] > covered[0, column] + 0.2


def test_the_same_question_is_covered_the_same_again(reader: LateInteraction) -> None:
    first = reader.coverage(QUESTION, [VALVE, CANTEEN])
    again = LateInteraction(threads=1).coverage(QUESTION, [VALVE, CANTEEN])
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])
