"""The compiled loops do what their NumPy forms do, and refuse arrays that are not what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes import kernels
from indexes.kernels import best_of, nearest_lists, rows_beyond

needs_compiled = pytest.mark.skipif(
    kernels.compiled is None, reason="no C compiler was there when Loremill was installed"
)
seeds = st.integers(0, 2**32 - 1)


def with_numpy(function, *args):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "compiled", None)
        return function(*args)


@needs_compiled
@given(seeds, st.integers(1, 4), st.integers(1, 60), st.data())
def test_the_same_lists_are_nearest(seed: int, n_queries: int, n_lists: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    wanted = data.draw(st.integers(1, n_lists))
    scores = random.standard_normal((n_queries, n_lists), dtype=np.float32)
    counts = (random.integers(0, 3, n_lists) * random.integers(0, 50, n_lists)).astype(np.float32)
    lists, fewest = nearest_lists(scores, counts, wanted)
    expected, expected_fewest = with_numpy(nearest_lists, scores, counts, wanted)
    assert fewest == expected_fewest
    np.testing.assert_array_equal(np.sort(lists, axis=1), np.sort(expected, axis=1))


@needs_compiled
@given(seeds, st.integers(1, 4), st.integers(1, 60), st.data())
def test_as_many_rows_are_expected_beyond_the_lists(
    seed: int, n_queries: int, n_lists: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    scores = random.uniform(-1, 1, (n_queries, n_lists)).astype(np.float32)
    counts = random.integers(0, 3, n_lists).astype(np.float32) * 100
    spread = random.uniform(1e-6, 0.2, n_lists).astype(np.float32)
    share = np.append(np.sort(random.random(40))[::-1], 0).astype(np.float32)
    first, _ = nearest_lists(scores, counts, data.draw(st.integers(1, n_lists)))
    arguments = scores, counts, spread, share, random.uniform(-1, 1, n_queries).astype(np.float32), first
    np.testing.assert_allclose(rows_beyond(*arguments), with_numpy(rows_beyond, *arguments), rtol=1e-4, atol=1e-2)


@needs_compiled
@given(seeds, st.integers(1, 4), st.integers(1, 80), st.data())
def test_the_same_candidates_are_best_whatever_ties(seed: int, n_queries: int, n: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    top_k = data.draw(st.integers(1, n))
    exact = np.round(random.uniform(-1, 1, (n_queries, n)), data.draw(st.sampled_from([1, 6]))).astype(np.float32)
    estimates = np.sort(exact + random.normal(0, 0.05, exact.shape).astype(np.float32), axis=1)[:, ::-1]
    positions = random.permuted(np.tile(np.arange(200), (n_queries, 1)), axis=1)[:, :n].copy()
    row_of = random.permutation(200).astype(np.int32)
    places, errors = best_of(exact, estimates, positions, row_of, top_k)
    expected, expected_errors = with_numpy(best_of, exact, estimates, positions, row_of, top_k)
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_allclose(errors, expected_errors, atol=1e-6)


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_compiled), False])
def test_places_without_a_candidate_are_never_best(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(kernels, "compiled", None)
    exact = np.array([[0.2, 0.9, -np.inf, -np.inf]], np.float32)
    positions = np.array([[1, 0, -1, -1]])
    places, _ = best_of(exact, exact, positions, np.array([0, 1], np.int32), 2)
    assert places.tolist() == [[1, 0]]


@needs_compiled
def test_arrays_of_another_size_are_refused_before_they_are_read() -> None:
    scores, counts, lists = np.zeros((1, 4), np.float32), np.zeros(4, np.float32), np.zeros((1, 2), np.int64)
    with pytest.raises(ValueError, match="array 1 has 16 bytes instead of 20"):
        kernels.compiled.nearest_lists(np.zeros((1, 5), np.float32), counts, lists, 1, 5, 2)
    with pytest.raises(ValueError, match="negative"):
        kernels.compiled.nearest_lists(scores, counts, lists, 1, -4, 2)
    with pytest.raises(TypeError, match="5 arguments instead of 6"):
        kernels.compiled.nearest_lists(scores, counts, lists, 1, 4)
    with pytest.raises((BufferError, ValueError)):
        kernels.compiled.nearest_lists(scores[:, ::2], counts, lists, 1, 2, 2)
