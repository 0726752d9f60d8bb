"""The benchmark of near-duplicates compares what it says it compares."""

from __future__ import annotations

import random

import pytest

from eval.bench.duplicates import compare, perturb

TEXT = " ".join(f"word{number}" for number in range(400))


def test_a_text_perturbed_at_rate_0_is_itself() -> None:
    assert perturb(TEXT, 0.0, random.Random(1)) == TEXT
    same = compare(TEXT, TEXT)
    assert (same.exact, same.estimate, same.candidate) == (1.0, 1.0, True)


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_about_the_rate_of_words_is_changed(rate: float) -> None:
    # Each change touches at most three or four of some 400 shingles, and nearly as many are new.
    exact = compare(TEXT, perturb(TEXT, rate, random.Random(1))).exact
    assert 1 - 10 * rate < exact < 1 - rate


def test_texts_that_share_nothing_are_no_candidates() -> None:
    other = compare(TEXT, TEXT.replace("word", "other"))
    assert (other.exact, other.candidate) == (0.0, False)
