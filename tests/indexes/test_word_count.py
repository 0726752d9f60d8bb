"""Counting by words gives what the tokenizer gives, and asks it only once for each word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.minilm import MiniLM
from indexes.word_count import WordCount

pytest.importorskip("tokenizers")
tokenizer = MiniLM(cache=Path("unused"))
count = WordCount(tokenizer.count_tokens)


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_counts_are_the_tokenizers_own_but_for_control_characters(texts: list[str]) -> None:
    for text, found, own in zip(texts, count(texts), tokenizer.count_tokens(texts), strict=True):
        assert found >= own
        if all(character.isprintable() or character in "\n\t" for character in text):
            assert found == own


def test_a_known_word_is_not_tokenized_again() -> None:
    asked: list[str] = []

    def letters(texts: list[str]) -> list[int]:
        asked.extend(texts)
        return [len(text) for text in texts]

    counter = WordCount(letters)
    assert counter(["one two one", "two three"]) == [9, 8]
    assert counter(["three one", ""]) == [8, 0]
    assert sorted(asked) == ["one", "three", "two"]
