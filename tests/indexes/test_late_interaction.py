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
    assert (np.abs(covered) <= 1).all()


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


def test_a_text_is_covered_exactly_the_same_alone_and_among_others(reader: LateInteraction) -> None:
    texts = [VALVE, CANTEEN, "", "word " * 400]
    words, together = reader.coverage(QUESTION, texts)
    for text, row in zip(texts, together, strict=True):
        alone_words, [alone] = reader.coverage(QUESTION, [text])
        assert alone_words == words
        np.testing.assert_array_equal(alone, row)


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


def test_a_words_coverage_is_the_mean_over_its_tokens_of_the_best_cosine_with_a_token_behind_the_start_mark(
    reader: LateInteraction,
) -> None:
    texts = ["", "How", "Heavy valves"]
    (asked, states), *read = reader._model.run(["unbelievableness of valves", *texts])
    _, covered = reader.coverage("unbelievableness of valves", texts)
    with_mark = []
    for row, (_, shown) in enumerate(read):
        for word in range(3):
            tokens = [at for at, of in enumerate(asked.word_ids) if of == word]
            cosines = [
                [
                    float(states[token] @ other) / float(np.linalg.norm(states[token]) * np.linalg.norm(other))
                    for other in shown
                ]
                for token in tokens
            ]
            expected = np.mean([max(line[1:]) for line in cosines])
            assert covered[row, word] == pytest.approx(expected, abs=1e-5)
            with_mark.append(np.mean([max(line) for line in cosines]))
    assert not np.allclose(covered.ravel(), with_mark, atol=5e-5), "the mark would have counted"
