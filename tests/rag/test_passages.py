from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from indexes.vocabulary import Hit
from rag.passages import pack


def hits(*texts: str) -> list[Hit]:
    return [Hit(n, 1 / n, f"d{n}", f"c{n}", f"file:{n}", "", text, 0, len(text), {}) for n, text in enumerate(texts, 1)]


def by_words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_passages_are_numbered_from_one_in_rank_order() -> None:
    packed = pack(hits("a b", "c", "d e"), max_tokens=10, count_tokens=by_words)
    assert [(passage.number, passage.text) for passage in packed] == [(1, "a b"), (2, "c"), (3, "d e")]


def test_an_exact_repetition_is_dropped_and_the_best_ranked_stays() -> None:
    packed = pack(hits("same", "other", "same"), max_tokens=10, count_tokens=by_words)
    assert [passage.hit.rank for passage in packed] == [1, 2]


def test_packing_stops_before_the_first_passage_that_does_not_fit() -> None:
    packed = pack(hits("a b", "c d e", "f"), max_tokens=4, count_tokens=by_words)
    assert [passage.text for passage in packed] == ["a b"]


def test_a_passage_that_fills_the_budget_exactly_is_packed() -> None:
    assert len(pack(hits("a b", "c d"), max_tokens=4, count_tokens=by_words)) == 2


def test_the_first_hit_is_packed_even_when_it_alone_is_over_the_budget() -> None:
    assert [passage.text for passage in pack(hits("a b c d", "e"), max_tokens=2, count_tokens=by_words)] == ["a b c d"]


def test_no_hits_make_no_passages_and_count_nothing() -> None:
    assert pack([], max_tokens=5, count_tokens=by_words) == []


@given(st.lists(st.text("ab ", min_size=1, max_size=12)), st.integers(1, 30))
def test_packed_passages_are_a_prefix_of_the_distinct_hits_within_the_budget(texts: list[str], budget: int) -> None:
    packed = [passage.text for passage in pack(hits(*texts), max_tokens=budget, count_tokens=by_words)]
    assert packed == list(dict.fromkeys(texts))[: len(packed)]
    assert len(packed) <= 1 or sum(by_words(packed)) <= budget
