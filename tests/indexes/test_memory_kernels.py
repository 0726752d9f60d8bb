"""The compiled loops of memory's search do what their NumPy forms do, and refuse rows that there are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes import memory_kernels
from indexes.memory_kernels import (
    add_weights,
    best_marked,
    cosines,
    nearest_codes,
    nearest_rows,
    weights_at,
    with_neighbours,
)

needs_compiled = pytest.mark.skipif(
    memory_kernels.compiled is None, reason="no C compiler was there when Loremill was installed"
)
seeds = st.integers(0, 2**32 - 1)
dims = st.sampled_from([1, 5, 32, 37, 96, 384])


def with_numpy(function: Any, *args: Any, **named: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_kernels, "compiled", None)
        return function(*args, **named)


def some(rng: np.random.Generator, n: int) -> Any:
    """Places among n rows, ascending."""
    return np.flatnonzero(rng.random(n) < 0.7)


@needs_compiled
@given(seeds, st.integers(1, 50), dims, st.integers(1, 20))
def test_the_same_rows_are_nearest_with_the_same_cosines(seed: int, n: int, dim: int, wanted: int) -> None:
    rng = np.random.default_rng(seed)
    rows, query = rng.integers(-3, 4, (n, dim)).astype(np.float32), rng.integers(-3, 4, dim).astype(np.float32)
    places = some(rng, n)
    np.testing.assert_allclose(cosines(rows, query, places), with_numpy(cosines, rows, query, places), rtol=1e-5)
    found = nearest_rows(rows, query, places, wanted)
    assert sorted(found) == sorted(with_numpy(nearest_rows, rows, query, places, wanted))


@needs_compiled
@given(seeds, st.integers(1, 300), dims, st.integers(1, 20))
def test_the_same_codes_are_nearest_of_those_shown(seed: int, n: int, dim: int, wanted: int) -> None:
    rng = np.random.default_rng(seed)
    codes, query = rng.integers(-127, 128, (n, dim)).astype(np.int8), rng.integers(-9, 10, dim).astype(np.int16)
    shown = rng.random(n) < 0.5
    found = nearest_codes(codes, query, shown, wanted)
    assert shown[found].all()
    assert sorted(found) == sorted(with_numpy(nearest_codes, codes, query, shown, wanted))


@needs_compiled
@given(seeds, st.integers(1, 60), st.integers(0, 3))
def test_the_same_neighbours_come_along(seed: int, n: int, around: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = (rng.integers(-1, n, n).astype(np.int32) for _ in range(2))
    rows, shown = rng.integers(0, n, rng.integers(0, 2 * n)), rng.random(n) < 0.7
    found = with_neighbours(rows, before, after, shown, around)
    assert found.tolist() == with_numpy(with_neighbours, rows, before, after, shown, around).tolist()
    assert found.tolist() == sorted({*found.tolist()})


@needs_compiled
@given(seeds, st.integers(1, 200), st.integers(1, 20), st.booleans())
def test_the_same_words_weigh_the_same(seed: int, n: int, wanted: int, mark: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = some(rng, n).astype(np.int32)
    shares = rng.integers(1, 5, len(rows)).astype(np.float32)
    shown = rng.random(n) < 0.8
    marks = rng.random(n) < 0.1
    states = [(np.ones(n, np.float32), marks.copy()) for _ in range(2)]
    add_weights(rows, shares, 0.5, *states[0], mark=mark)
    with_numpy(add_weights, rows, shares, 0.5, *states[1], mark=mark)
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)
    found = best_marked(*states[0], shown, wanted)
    assert sorted(found) == sorted(with_numpy(best_marked, *states[0], shown, wanted))
    asked, out = some(rng, n), [np.ones(n, np.float32) for _ in range(2)]
    weights_at(rows, shares, 0.5, asked, out[0][: len(asked)])
    with_numpy(weights_at, rows, shares, 0.5, asked, out[1][: len(asked)])
    np.testing.assert_array_equal(*out)


@needs_compiled
@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_that_there_is_not_is_refused(row: int) -> None:
    rows, query, places = np.zeros((3, 4), np.float32), np.zeros(4, np.float32), np.array([0, row])
    with pytest.raises(IndexError, match=f"row {row} of 3"):
        cosines(rows, query, places)
    with pytest.raises(IndexError, match=f"row {row} of 3"):
        nearest_rows(rows, query, places, 1)
    sums, marks = np.zeros(3, np.float32), np.zeros(3, bool)
    with pytest.raises(IndexError, match=f"row {row} of 3"):
        add_weights(places.astype(np.int32), np.zeros(2, np.float32), 1.0, sums, marks, mark=True)


@needs_compiled
def test_arrays_of_another_size_and_no_row_wanted_are_refused() -> None:
    rows, query, best = np.zeros((3, 4), np.float32), np.zeros(4, np.float32), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="array 1 has 12 bytes instead of 16"):
        nearest_rows(rows, query[:3].copy(), np.arange(3), 1)
    with pytest.raises(ValueError, match="no row is wanted"):
        memory_kernels.compiled.nearest_rows(rows, query, np.arange(3), best[:0], 3, 4, 3, 0)
