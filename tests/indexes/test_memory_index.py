"""What memory is searched by: vectors, words, and what is shown when, each against its plain definition."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.memory_partition import NEVER, MemoryQuery, Partition
from indexes.memory_rows import shown
from indexes.memory_terms import K1, MEAN_LENGTH, B, Postings, digests_of, terms_of
from indexes.memory_vectors import EXACT_ROWS, Vectors

WORDS = st.lists(st.sampled_from(["kiln", "glaze", "cobalt", "nine"]), max_size=6)
moments = st.none() | st.integers(0, 6)


@given(
    texts=st.lists(WORDS, min_size=1, max_size=8), query=st.sets(st.sampled_from(["kiln", "glaze", "tin"]), min_size=1)
)
def test_words_are_scored_by_bm25(texts: list[list[str]], query: set[str]) -> None:
    postings = Postings()
    for text in texts:
        postings.extend([digests_of(text)])
    terms = sorted(query)
    rows, weights = postings.search(digests_of(terms), np.ones(len(texts), bool), len(texts))
    scores = postings.scores_of(weights, np.arange(len(texts)))
    for line, term in enumerate(terms):
        holding = sum(term in text for text in texts)
        idf = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        for row, text in enumerate(texts):
            often = text.count(term)
            norm = K1 * (1 - B + B * len(text) / MEAN_LENGTH)
            assert scores[line, row] == pytest.approx(idf * (K1 + 1) * often / (often + norm), rel=1e-5)
    assert set(rows.tolist()) == {row for row, text in enumerate(texts) if query & set(text)}


def test_merged_postings_say_what_single_ones_do() -> None:
    rng = np.random.default_rng(1)
    texts = [terms_of(" ".join(rng.choice(["kiln", "glaze", "tin", "oak"], 5))) for _ in range(700)]
    whole, single = Postings(), Postings()
    whole.extend(texts)
    for text in texts:
        single.extend([text])
    every, query = np.arange(700), digests_of(["kiln", "oak", "absent"])
    scores = [one.scores_of(one.search(query, np.ones(700, bool), 50)[1], every) for one in (whole, single)]
    np.testing.assert_allclose(*scores)


def test_over_many_rows_nearly_all_of_the_best_are_found_and_none_that_is_not_shown() -> None:
    rng = np.random.default_rng(0)
    n, dim, wanted = 3 * EXACT_ROWS, 64, 20
    topics = rng.standard_normal((50, dim)) * np.linspace(2, 0.1, dim)
    rows = topics[rng.integers(0, 50, n)] + 0.5 * rng.standard_normal((n, dim)) * np.linspace(2, 0.1, dim)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    vectors = Vectors(dim)
    for part in np.array_split(rows, 7):
        vectors.extend(part)
    visible = rng.random(n) < 0.7
    found = 0
    for query in rows[:50]:
        best = set(np.argsort(-np.where(visible, rows @ query, -2), kind="stable")[:wanted].tolist())
        answer = vectors.nearest(query, visible, wanted)
        assert visible[answer].all()
        assert len(answer) == wanted
        found += len(best & set(answer.tolist()))
    assert found >= 0.99 * 50 * wanted


@given(
    st.lists(st.tuples(st.integers(0, 6), moments, moments, moments, moments), min_size=1, max_size=6),
    st.integers(0, 6),
    moments,
)
def test_the_index_and_the_last_look_agree_on_what_is_shown(
    cells: list[tuple[int, int | None, int | None, int | None, int | None]], now: int, as_of: int | None
) -> None:
    partition = Partition(1, 4)
    rows = [
        (seq, 0, recorded, retired, start, end, closed, 1.0, 0.5, "fact", "user", "", "", "x", bytes(16), b"")
        for seq, (recorded, retired, start, end, closed) in enumerate(cells)
    ]
    partition._append(rows)
    partition._now = partition._numbers["retired"][: len(rows)] == NEVER
    mask = partition._shown(MemoryQuery(np.zeros(4, np.float32), digests_of([]), now, as_of=as_of))
    names = ("recorded", "retired", "valid_from", "valid_to", "closed")
    told = [SimpleNamespace(**dict(zip(names, one, strict=True))) for one in cells]
    assert mask.tolist() == [shown(row, now=now, as_of=as_of) for row in told]
