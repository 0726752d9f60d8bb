"""Batches hold every text once, within the budget."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from indexes.token_batches import token_batches

LENGTHS = st.lists(st.integers(1, 40), max_size=50)


def _tokens(lengths: list[int]) -> list[np.ndarray]:
    return [np.arange(1, length + 1, dtype=np.int32) for length in lengths]


@given(lengths=LENGTHS, budget=st.integers(1, 200), pad=st.booleans())
def test_each_text_is_in_one_batch_with_its_own_tokens(lengths: list[int], budget: int, pad: bool) -> None:
    seen: list[int] = []
    for batch in token_batches(_tokens(lengths), budget=budget, pad=pad):
        assert batch.ids.shape == batch.mask.shape
        assert batch.ids.size <= budget or len(batch.rows) == 1
        for row, ids, mask in zip(batch.rows, batch.ids, batch.mask, strict=True):
            assert ids[mask].tolist() == list(range(1, lengths[row] + 1))
            assert not ids[~mask].any()
        seen += batch.rows.tolist()
    assert sorted(seen) == list(range(len(lengths)))


@given(lengths=LENGTHS, budget=st.integers(1, 200))
def test_without_padding_every_place_holds_a_token(lengths: list[int], budget: int) -> None:
    assert all(batch.mask.all() for batch in token_batches(_tokens(lengths), budget=budget, pad=False))


def test_the_longest_come_first_and_widths_are_multiples_of_eight() -> None:
    batches = list(token_batches(_tokens([3, 9, 8, 17]), budget=32))
    assert [batch.rows.tolist() for batch in batches] == [[3], [1, 2], [0]]
    assert [batch.ids.shape for batch in batches] == [(1, 24), (2, 16), (1, 8)]
