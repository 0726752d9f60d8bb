"""What memory is searched by: vectors, words, and what is shown when, each against its plain definition."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.arrays import Float32Matrix
from indexes.memory_index import MemoryIndex, _joined
from indexes.memory_partition import MemoryQuery, Partition
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
        postings.extend(digests_of(text), [len(text)])
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
    whole.extend(np.concatenate(texts), [len(text) for text in texts])
    for text in texts:
        single.extend(text, [len(text)])
    every, query = np.arange(700), digests_of(["kiln", "oak", "absent"])
    found = [one.search(query, np.ones(700, bool), 50) for one in (whole, single)]
    assert set(found[0][0].tolist()) == set(found[1][0].tolist())
    np.testing.assert_allclose(
        *(one.scores_of(held, every) for one, (_, held) in zip((whole, single), found, strict=True))
    )


def clustered(rng: np.random.Generator, n: int, dim: int) -> Float32Matrix:
    """Rows around topics, whose directions count less and less, as those of sentences do."""
    spread = np.linspace(2, 0.1, dim)
    rows = (
        rng.standard_normal((50, dim))[rng.integers(0, 50, n)] * spread + 0.5 * rng.standard_normal((n, dim)) * spread
    )
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("share", [1.0, 0.7, 0.3])
def test_over_many_rows_nearly_all_of_the_best_are_found_and_none_that_is_not_shown(share: float) -> None:
    """The first look at codes may lose two in a thousand, whatever share of the rows is shown."""
    rng = np.random.default_rng(0)
    n, dim, wanted = 4 * EXACT_ROWS, 384, 64
    rows = clustered(rng, n, dim)
    vectors = Vectors(dim)
    for part in np.array_split(rows, 7):
        vectors.extend(part)
    visible = rng.random(n) < share
    found = 0
    for query in rows[:50]:
        best = set(np.argsort(-np.where(visible, rows @ query, -2), kind="stable")[:wanted].tolist())
        answer = vectors.nearest(query, visible, wanted)
        assert visible[answer].all()
        assert len(set(answer.tolist())) == wanted
        found += len(best & set(answer.tolist()))
    assert found >= 0.998 * 50 * wanted


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_over_few_rows_the_best_are_found_exactly(n: int, wanted: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = clustered(rng, n, 8)
    vectors = Vectors(8)
    vectors.extend(rows)
    shown, query = rng.random(n) < 0.6, clustered(rng, 1, 8)[0]
    places = np.flatnonzero(shown)
    best = sorted((rows[places] @ query).tolist(), reverse=True)[:wanted]
    answer = vectors.nearest(query, shown, wanted)
    assert shown[answer].all()
    np.testing.assert_allclose(sorted((rows[answer] @ query).tolist(), reverse=True), best, rtol=1e-5, atol=1e-6)


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
    partition._take(rows)
    mask = partition._shown(MemoryQuery(np.zeros(4, np.float32), digests_of([]), now, as_of=as_of))
    names = ("recorded", "retired", "valid_from", "valid_to", "closed")
    told = [SimpleNamespace(**dict(zip(names, one, strict=True))) for one in cells]
    assert mask.tolist() == [shown(row, now=now, as_of=as_of) for row in told]


def row_of(
    seq: int, *, kind: str = "episode", session: str = "", speaker: str = "", text: str = "x"
) -> tuple[object, ...]:
    """A row as a partition reads it from the catalog."""
    return (seq, 0, 0, None, None, None, None, 1.0, 0.5, kind, "user", session, speaker, text, bytes(16), b"")


ALL = MemoryQuery(np.zeros(4, np.float32), digests_of([]), 1)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["episode", "fact"]), st.sampled_from(["", "s", "t"])), max_size=6),
        max_size=4,
    )
)
def test_an_episode_stands_between_those_before_and_after_it_in_its_session(
    batches: list[list[tuple[str, str]]],
) -> None:
    partition, sessions, seq = Partition(1, 4), dict[str, list[int]](), 0
    for batch in batches:
        rows = []
        for kind, session in batch:
            rows.append(row_of(seq, kind=kind, session=session))
            if session and kind == "episode":
                sessions.setdefault(session, []).append(seq)
            seq += 1
        partition._take(rows)
    for row in range(seq):
        seats = next((seats for seats in sessions.values() if row in seats), [])
        position = seats.index(row) if seats else -1
        before = seats[position - 1] if position > 0 else -1
        after = seats[position + 1] if 0 <= position < len(seats) - 1 else -1
        told = [int(partition._numbers[name][row]) for name in ("position", "before", "after")]
        assert told == [position, before, after]


def test_rows_of_two_classes_share_names_and_no_session() -> None:
    partitions = Partition(1, 4), Partition(2, 4)
    partitions[0]._take([row_of(1, session="s", speaker="Ada"), row_of(2, session="t", text="of Ben")])
    partitions[1]._take([row_of(3, speaker="Ben"), row_of(4, session="s", speaker="Ada", text="Who?")])
    found = _joined([one.search(ALL) for one in partitions], 0)
    assert found.seqs.tolist() == [1, 2, 3, 4]
    assert [found.names[place] for place in found.speakers] == ["Ada", "", "Ben", "Ada"]
    assert found.sessions[2] == -1
    assert len({*found.sessions.tolist()}) == 4
    assert found.asks.tolist() == [False, False, False, True]
    assert found.texts[1] == "of Ben"


def test_nothing_to_search_is_nothing_found() -> None:
    found = _joined([], 3)
    assert len(found) == 0
    assert found.term_scores.shape == (3, 0)


def test_what_memory_takes_stays_within_its_limit_and_what_was_used_last_stays() -> None:
    index = MemoryIndex(dim=4, model_id="m", max_bytes=2 * Partition(0, 4).n_bytes + 400)
    for class_id in (1, 2, 3, 1, 4):
        partition = index._partition(class_id)
        if not len(partition):
            partition._take([row_of(1)])
        index._keep(partition)
    assert list(index._partitions) == [1, 4]
    assert index._total == sum(one.n_bytes for one in index._partitions.values()) <= 400
