"""Values of texts are kept by digest, for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from indexes.recent import Recent


def test_each_text_is_computed_once_also_within_one_call() -> None:
    asked: list[list[str]] = []

    def length(texts: list[str]) -> list[int]:
        asked.append(texts)
        return [len(text) for text in texts]

    recent: Recent[int] = Recent(10)
    assert recent.of(["aa", "b", "aa"], length) == [2, 1, 2]
    assert recent.of(["b", "ccc"], length) == [1, 3]
    assert asked == [["aa", "b"], ["ccc"]]


def test_what_a_value_is_about_is_part_of_its_key() -> None:
    recent: Recent[str] = Recent(10)
    assert recent.of(["t"], lambda texts: ["one"], about="q1") == ["one"]
    assert recent.of(["t"], lambda texts: ["two"], about="q2") == ["two"]
    assert recent.of(["t"], lambda texts: ["never"], about="q1") == ["one"]


def test_no_text_is_kept() -> None:
    recent: Recent[int] = Recent(10)
    recent.of(["a secret text"], lambda texts: [1], about="a question")
    assert "secret" not in repr(vars(recent))
    assert "question" not in repr(vars(recent))


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=12), st.integers(1, 4))
def test_never_more_than_the_size_is_kept_and_every_value_is_right(calls: list[list[str]], size: int) -> None:
    recent: Recent[str] = Recent(size)
    for texts in calls:
        assert recent.of(texts, lambda new: [text.upper() for text in new]) == [text.upper() for text in texts]
        assert len(recent._values) <= size
