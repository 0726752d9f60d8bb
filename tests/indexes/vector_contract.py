"""The contract of a vector index: named behaviours that every backend shows, checked against exact search in numpy.

A clause is a function of a `Bench`, which builds and opens indexes with the backend under test. A backend is under test by being in
`indexes.vectors.BACKENDS`; `broken_indexes` holds backends that break one clause each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.access import UNREADABLE, AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.errors import BuildCorrupt, ConfigError, DimensionMismatch, LoremillError, UnsupportedFilter
from indexes.vectors import Found, Plan, VectorBackend, VectorIndex
from indexes.vocabulary import Principal

ROWS, DIM, CLASSES = 400, 16, 8
TWINS = 40
"""Rows 0..TWINS-1 are one and the same vector."""
ALL = tuple(range(1, CLASSES + 1))


def access(*classes: int) -> AccessFilter:
    return AccessFilter("t", Principal("t", "user:a"), frozenset(classes))


def unit(rows: int, seed: int, dim: int = DIM) -> Float32Matrix:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VECTORS = unit(ROWS, 1)
VECTORS[:TWINS] = VECTORS[0]
QUERIES = np.vstack([VECTORS[:1], unit(11, 2)])
ROW_CLASSES = np.random.default_rng(3).integers(1, CLASSES, size=ROWS).astype(np.int32)
ROW_CLASSES[7] = CLASSES  # the only row of its class
ROW_CLASSES[11] = UNREADABLE

Wrap = Callable[[VectorIndex], VectorIndex]


@dataclass
class Bench:
    """Makes indexes with one backend. The standard one, over VECTORS, is built once and opened as often as asked."""

    backend: VectorBackend
    folder: Path
    wrap: Wrap = lambda index: index
    _built: int = 0
    _standard: list[Path] = field(default_factory=list)

    def build(
        self, vectors: Float32Matrix, classes: Int32Vector, *, blocks: Iterable[Float32Matrix] | None = None
    ) -> Path:
        """Write an index and return its path, in a folder of its own as a build is."""
        self._built += 1
        path = self.folder / f"build{self._built}" / "vectors.index"
        path.parent.mkdir(parents=True)
        self.backend.build([vectors] if blocks is None else blocks, vectors.shape[1], path, classes=classes)
        return path

    def open(self, path: Path, classes: Int32Vector | None = None) -> VectorIndex:
        index = self.wrap(self.backend.open(path))
        if classes is not None:
            index.assign_classes(classes)
        return index

    def make(self, vectors: Float32Matrix, classes: Int32Vector) -> VectorIndex:
        return self.open(self.build(vectors, classes), classes)

    @property
    def path(self) -> Path:
        if not self._standard:
            self._standard.append(self.build(VECTORS, ROW_CLASSES))
        return self._standard[0]

    def standard(self, classes: Int32Vector | None = None) -> VectorIndex:
        return self.open(self.path, ROW_CLASSES if classes is None else classes)


Clause = Callable[[Bench], None]


def exact(queries: Float32Matrix, mask: BoolVector, top_k: int, vectors: Float32Matrix = VECTORS) -> list[Found]:
    """What the contract asks for: every readable row scored, best first, ties by ascending row."""
    rows = np.flatnonzero(mask).astype(np.int64)
    found = []
    for query in queries:
        scores = np.einsum("ij,j->i", vectors, query)[rows]
        order = np.lexsort((rows, -scores))[:top_k]
        found.append(Found(rows[order], scores[order], Plan("exact", len(rows), len(rows))))
    return found


def check_same(found: Sequence[Found], wanted: Sequence[Found]) -> None:
    assert len(found) == len(wanted)
    for here, there in zip(found, wanted, strict=True):
        assert here.rows.tolist() == there.rows.tolist()
        np.testing.assert_allclose(here.scores, there.scores, atol=1e-5)
        assert here.plan.readable == there.plan.readable


def check_identical(found: Sequence[Found], other: Sequence[Found]) -> None:
    assert [one.rows.tobytes() for one in found] == [one.rows.tobytes() for one in other]
    assert [one.scores.tobytes() for one in found] == [one.scores.tobytes() for one in other]


def check_selectivity(bench: Bench, *readable: int) -> None:
    mask = np.isin(ROW_CLASSES, [class_id for class_id in readable if class_id != UNREADABLE])
    check_same(bench.standard().search(QUERIES, top_k=10, access=access(*readable)), exact(QUERIES, mask, 10))


# Selectivity


def no_class_reads_nothing(bench: Bench) -> None:
    check_selectivity(bench)


def a_class_that_no_row_has_reads_nothing(bench: Bench) -> None:
    check_selectivity(bench, 99)


def a_class_of_one_row_gives_that_row(bench: Bench) -> None:
    check_selectivity(bench, CLASSES)


def one_class_is_searched_exactly(bench: Bench) -> None:
    check_selectivity(bench, 1)


def some_classes_are_searched_exactly(bench: Bench) -> None:
    check_selectivity(bench, 1, 2, 3)


def nearly_all_rows_are_searched_exactly(bench: Bench) -> None:
    check_selectivity(bench, *range(1, CLASSES))


def all_classes_are_searched_exactly(bench: Bench) -> None:
    check_selectivity(bench, *ALL)


def unknown_classes_beside_known_ones_change_nothing(bench: Bench) -> None:
    check_selectivity(bench, 2, 99, 1000)


def an_unreadable_row_never_comes(bench: Bench) -> None:
    """Not even for a filter that names UNREADABLE among its classes."""
    check_selectivity(bench, UNREADABLE)
    check_selectivity(bench, UNREADABLE, *ALL)
    found = bench.standard().search(VECTORS[11:12], top_k=ROWS, access=access(UNREADABLE, *ALL))
    assert 11 not in found[0].rows.tolist()


def class_zero_is_a_class(bench: Bench) -> None:
    classes = (np.arange(ROWS) % 3).astype(np.int32)
    found = bench.standard(classes).search(QUERIES, top_k=10, access=access(0))
    check_same(found, exact(QUERIES, classes == 0, 10))


def many_classes_with_far_numbers_are_told_apart(bench: Bench) -> None:
    """Each row has a class of its own, and the ids have gaps."""
    classes = (np.arange(ROWS) * 251 + 1).astype(np.int32)
    readable = classes[::3].tolist()
    found = bench.make(VECTORS, classes).search(QUERIES, top_k=10, access=access(*readable))
    check_same(found, exact(QUERIES, np.isin(classes, readable), 10))


def only_the_worst_rows_are_readable(bench: Bench) -> None:
    """The rows that score lowest are found where they are all that may be read, however many better ones there are."""
    query = QUERIES[5:6]
    worst = np.argsort(VECTORS @ query[0])[:6]
    classes = np.ones(ROWS, np.int32)
    classes[worst] = 2
    check_same(bench.standard(classes).search(query, top_k=10, access=access(2)), exact(query, classes == 2, 10))


# Ties


def ties_come_by_ascending_row(bench: Bench) -> None:
    rows = bench.standard().search(VECTORS[:1], top_k=TWINS, access=access(*ALL))[0].rows
    assert rows[: TWINS - 1].tolist() == [row for row in range(TWINS) if row != 11]


def a_tie_at_the_border_is_cut_by_row(bench: Bench) -> None:
    index = bench.standard()
    for top_k in (1, 2, 3, 10, TWINS - 2):
        rows = index.search(VECTORS[:1], top_k=top_k, access=access(*ALL))[0].rows
        assert rows.tolist() == [row for row in range(TWINS) if row != 11][:top_k]


def ties_among_readable_rows_skip_the_others(bench: Bench) -> None:
    index = bench.standard()
    twins = [row for row in range(TWINS) if ROW_CLASSES[row] in (1, 2, 3)]
    for top_k in (1, 3, len(twins) - 1, len(twins)):
        assert index.search(VECTORS[:1], top_k=top_k, access=access(1, 2, 3))[0].rows.tolist() == twins[:top_k]


def rows_that_are_all_alike_come_by_ascending_row(bench: Bench) -> None:
    vectors, classes = np.repeat(VECTORS[:1], 300, axis=0), (np.arange(300) % 2 + 1).astype(np.int32)
    found = bench.make(vectors, classes).search(QUERIES[:3], top_k=20, access=access(2))
    assert [one.rows.tolist() for one in found] == [list(range(1, 41, 2))] * 3


def a_zero_query_ties_with_everything(bench: Bench) -> None:
    zero = np.zeros((1, DIM), np.float32)
    found = bench.standard().search(zero, top_k=15, access=access(1, 2))[0]
    assert found.rows.tolist() == np.flatnonzero(np.isin(ROW_CLASSES, (1, 2)))[:15].tolist()
    assert not found.scores.any()


def near_ties_keep_their_order(bench: Bench) -> None:
    """Scores that differ in the fourth decimal are no ties: the rows stand there in descending order of their numbers."""
    angles = np.linspace(1.2, 0.9, 120)
    vectors = np.zeros((120, DIM), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    classes = np.ones(120, np.int32)
    query = np.eye(1, DIM, dtype=np.float32)
    check_same(
        bench.make(vectors, classes).search(query, top_k=50, access=access(1)), exact(query, classes == 1, 50, vectors)
    )


# The metadata mask


def where_is_anded_with_access(bench: Bench) -> None:
    where = np.arange(ROWS) % 3 == 0
    found = bench.standard().search(QUERIES, top_k=10, access=access(1, 2), where=where)
    check_same(found, exact(QUERIES, where & np.isin(ROW_CLASSES, (1, 2)), 10))


def where_nothing_passes_gives_nothing(bench: Bench) -> None:
    found = bench.standard().search(QUERIES, top_k=10, access=access(*ALL), where=np.zeros(ROWS, dtype=bool))
    assert [len(one.rows) for one in found] == [0] * len(QUERIES)


def where_everything_passes_changes_nothing(bench: Bench) -> None:
    index, every = bench.standard(), np.ones(ROWS, dtype=bool)
    with_mask = index.search(QUERIES, top_k=10, access=access(1, 4), where=every)
    check_identical(with_mask, index.search(QUERIES, top_k=10, access=access(1, 4)))


def where_one_row_passes_gives_that_row(bench: Bench) -> None:
    index = bench.standard()
    for row in (0, 7, 200, ROWS - 1):
        where = np.arange(ROWS) == row
        found = index.search(QUERIES, top_k=10, access=access(*ALL), where=where)
        assert [one.rows.tolist() for one in found] == [[row]] * len(QUERIES)


def where_all_but_one_row_pass_that_one_is_missing(bench: Bench) -> None:
    where = np.arange(ROWS) != 3
    found = bench.standard().search(VECTORS[:1], top_k=10, access=access(*ALL), where=where)
    assert found[0].rows.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]


def where_opens_nothing(bench: Bench) -> None:
    """A mask of rows that may not be read gives nothing."""
    found = bench.standard().search(QUERIES, top_k=10, access=access(1, 2), where=~np.isin(ROW_CLASSES, (1, 2)))
    assert [len(one.rows) for one in found] == [0] * len(QUERIES)


def where_the_callers_mask_stays_as_it_is(bench: Bench) -> None:
    where = np.arange(ROWS) % 3 == 0
    bench.standard().search(QUERIES, top_k=10, access=access(1, 2), where=where)
    assert where.tolist() == (np.arange(ROWS) % 3 == 0).tolist()


def where_for_another_number_of_rows_is_refused(bench: Bench) -> None:
    with pytest.raises((LoremillError, ValueError)):
        bench.standard().search(QUERIES, top_k=1, access=access(1), where=np.ones(ROWS - 1, dtype=bool))


def where_ties_are_cut_by_row(bench: Bench) -> None:
    where = np.arange(ROWS) % 4 == 1
    found = bench.standard().search(VECTORS[:1], top_k=5, access=access(*ALL), where=where)
    assert found[0].rows.tolist() == [1, 5, 9, 13, 17]


# top_k


def one_row_is_wanted(bench: Bench) -> None:
    check_same(
        bench.standard().search(QUERIES, top_k=1, access=access(1, 5)), exact(QUERIES, np.isin(ROW_CLASSES, (1, 5)), 1)
    )


def as_many_are_wanted_as_are_readable(bench: Bench) -> None:
    mask = ROW_CLASSES == 3
    wanted = int(mask.sum())
    check_same(bench.standard().search(QUERIES, top_k=wanted, access=access(3)), exact(QUERIES, mask, wanted))


def more_are_wanted_than_are_readable(bench: Bench) -> None:
    for found in bench.standard().search(QUERIES, top_k=ROWS - 1, access=access(1)):
        assert sorted(found.rows.tolist()) == np.flatnonzero(ROW_CLASSES == 1).tolist()


def more_are_wanted_than_there_are(bench: Bench) -> None:
    check_same(
        bench.standard().search(QUERIES, top_k=ROWS * 10, access=access(*ALL)),
        exact(QUERIES, ROW_CLASSES > 0, ROWS),
    )


def fewer_wanted_are_the_head_of_more(bench: Bench) -> None:
    index = bench.standard()
    many = index.search(QUERIES, top_k=50, access=access(1, 2, 3))
    for top_k in (1, 9, 49):
        few = index.search(QUERIES, top_k=top_k, access=access(1, 2, 3))
        assert [one.rows.tolist() for one in few] == [one.rows[:top_k].tolist() for one in many]


# Rights


def rights_are_required(bench: Bench) -> None:
    """An index that was told no rights does not search at all."""
    with pytest.raises(UnsupportedFilter):
        bench.open(bench.path).search(QUERIES, top_k=1, access=access(1))


def rights_for_another_number_of_rows_are_refused(bench: Bench) -> None:
    index = bench.standard()
    for classes in (ROW_CLASSES[:-1], np.append(ROW_CLASSES, ROW_CLASSES[0])):
        with pytest.raises(BuildCorrupt):
            index.assign_classes(classes)


def rights_move_without_a_rebuild(bench: Bench) -> None:
    """Assigning other classes changes the next search, and nothing else."""
    index = bench.standard()
    for shift in (0, 1, 2):
        moved = np.where(ROW_CLASSES > 0, (ROW_CLASSES + shift) % CLASSES + 1, ROW_CLASSES).astype(np.int32)
        index.assign_classes(moved)
        check_same(index.search(QUERIES, top_k=10, access=access(3)), exact(QUERIES, moved == 3, 10))


def a_right_taken_away_holds_for_the_next_search(bench: Bench) -> None:
    """Row by row, the best one is withdrawn: it never comes again, and the next one takes its place."""
    index, classes = bench.standard(), ROW_CLASSES.copy()
    for _ in range(5):
        best = int(index.search(QUERIES[3:4], top_k=1, access=access(*ALL))[0].rows[0])
        classes = classes.copy()
        classes[best] = UNREADABLE
        index.assign_classes(classes)
        check_same(index.search(QUERIES[3:4], top_k=10, access=access(*ALL)), exact(QUERIES[3:4], classes > 0, 10))


def a_right_given_holds_for_the_next_search(bench: Bench) -> None:
    classes = ROW_CLASSES.copy()
    classes[11] = 5
    index = bench.standard()
    index.assign_classes(classes)
    rows = index.search(VECTORS[11:12], top_k=ROWS, access=access(5))[0].rows
    assert sorted(rows.tolist()) == np.flatnonzero(classes == 5).tolist()


def two_classes_change_places(bench: Bench) -> None:
    swapped = ROW_CLASSES.copy()
    swapped[ROW_CLASSES == 1], swapped[ROW_CLASSES == 2] = 2, 1
    found = bench.standard(swapped).search(QUERIES, top_k=10, access=access(1))
    check_same(found, exact(QUERIES, ROW_CLASSES == 2, 10))


def all_rights_are_taken_and_given_back(bench: Bench) -> None:
    index = bench.standard()
    before = index.search(QUERIES, top_k=10, access=access(1, 2))
    index.assign_classes(np.full(ROWS, UNREADABLE, np.int32))
    assert [len(one.rows) for one in index.search(QUERIES, top_k=10, access=access(*ALL))] == [0] * len(QUERIES)
    index.assign_classes(ROW_CLASSES)
    check_identical(index.search(QUERIES, top_k=10, access=access(1, 2)), before)


def the_classes_of_the_build_decide_nothing(bench: Bench) -> None:
    """They are for the layout: what is assigned holds, also where the build knew every row as unreadable or as one class."""
    for built in (np.full(ROWS, UNREADABLE, np.int32), np.zeros(ROWS, np.int32), ROW_CLASSES[::-1].copy()):
        index = bench.open(bench.build(VECTORS, built), ROW_CLASSES)
        check_same(
            index.search(QUERIES, top_k=10, access=access(1, 4)), exact(QUERIES, np.isin(ROW_CLASSES, (1, 4)), 10)
        )


def rights_scattered_over_single_rows_hold(bench: Bench) -> None:
    """Every row gets another class than its neighbours, whatever class the build laid it out by."""
    scattered = np.random.default_rng(9).permutation(ROW_CLASSES)
    index = bench.standard(scattered)
    for readable in [(1,), (2, 3), ALL]:
        check_same(
            index.search(QUERIES, top_k=10, access=access(*readable)),
            exact(QUERIES, np.isin(scattered, readable), 10),
        )


def two_openings_hold_rights_of_their_own(bench: Bench) -> None:
    """Processes open one build with rights of different epochs: neither sees the other's."""
    older, newer = bench.standard(), bench.standard()
    moved = np.where(ROW_CLASSES == 1, UNREADABLE, ROW_CLASSES).astype(np.int32)
    newer.assign_classes(moved)
    assert [len(one.rows) for one in newer.search(QUERIES[:2], top_k=5, access=access(1))] == [0, 0]
    check_same(older.search(QUERIES, top_k=10, access=access(1)), exact(QUERIES, ROW_CLASSES == 1, 10))
    check_same(newer.search(QUERIES, top_k=10, access=access(2)), exact(QUERIES, moved == 2, 10))


# Queries


def queries_of_another_length_are_refused(bench: Bench) -> None:
    index = bench.standard()
    for shape in [(1, DIM + 1), (1, DIM - 1), (DIM,), (1, 1, DIM)]:
        with pytest.raises(DimensionMismatch):
            index.search(np.zeros(shape, np.float32), top_k=1, access=access(1))


def queries_that_are_no_numbers_are_refused(bench: Bench) -> None:
    """NaN compares with nothing, so it would find anything or nothing."""
    index = bench.standard()
    for bad in (np.nan, np.inf, -np.inf):
        query = QUERIES[:2].copy()
        query[1, 3] = bad
        with pytest.raises(ConfigError):
            index.search(query, top_k=1, access=access(1))


def no_queries_get_no_answers(bench: Bench) -> None:
    assert bench.standard().search(np.zeros((0, DIM), np.float32), top_k=3, access=access(1)) == []


def a_short_query_finds_what_its_direction_finds(bench: Bench) -> None:
    for length in (0.5, 0.01):
        found = bench.standard().search(QUERIES * np.float32(length), top_k=10, access=access(1, 2))
        check_same(found, exact(QUERIES * np.float32(length), np.isin(ROW_CLASSES, (1, 2)), 10))


def an_opposite_query_scores_below_zero(bench: Bench) -> None:
    found = bench.standard().search(-VECTORS[:1], top_k=ROWS, access=access(*ALL))
    check_same(found, exact(-VECTORS[:1], ROW_CLASSES > 0, ROWS))
    assert found[0].scores[-1] < -0.99


def queries_may_lie_scattered_in_memory(bench: Bench) -> None:
    index = bench.standard()
    wide = np.asfortranarray(np.hstack([QUERIES, QUERIES]))[:, :DIM]
    check_same(index.search(wide[::2], top_k=5, access=access(1)), exact(QUERIES[::2], ROW_CLASSES == 1, 5))


def queries_are_not_written_to(bench: Bench) -> None:
    queries = QUERIES.copy()
    queries.flags.writeable = False
    bench.standard().search(queries, top_k=5, access=access(1))
    assert (queries == QUERIES).all()


def queries_beside_a_query_change_nothing(bench: Bench) -> None:
    index = bench.standard()
    together = index.search(QUERIES, top_k=20, access=access(1, 2))
    alone = [index.search(query[None], top_k=20, access=access(1, 2))[0] for query in QUERIES]
    assert [one.rows.tolist() for one in together] == [one.rows.tolist() for one in alone]
    backwards = index.search(QUERIES[::-1], top_k=20, access=access(1, 2))[::-1]
    assert [one.rows.tolist() for one in together] == [one.rows.tolist() for one in backwards]


def the_same_search_gives_the_same_bytes(bench: Bench) -> None:
    index = bench.standard()
    first = index.search(QUERIES, top_k=10, access=access(1, 2, 3))
    for again in (index, bench.standard()):
        check_identical(again.search(QUERIES, top_k=10, access=access(1, 2, 3)), first)


# Results


def results_are_int64_and_float32(bench: Bench) -> None:
    index = bench.standard()
    for readable in [(), (1,), ALL]:
        for found in index.search(QUERIES[:2], top_k=5, access=access(*readable)):
            assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)
            assert found.rows.shape == found.scores.shape


def scores_descend_within_one(bench: Bench) -> None:
    for found in bench.standard().search(np.vstack([VECTORS, QUERIES]), top_k=30, access=access(*ALL)):
        assert (np.diff(found.scores) <= 0).all()
        assert (np.abs(found.scores) <= 1.0).all()


def rows_come_once(bench: Bench) -> None:
    for found in bench.standard().search(QUERIES, top_k=ROWS, access=access(*ALL)):
        assert len(set(found.rows.tolist())) == len(found.rows)


def the_plan_counts_the_readable_rows(bench: Bench) -> None:
    where = np.arange(ROWS) % 2 == 0
    index = bench.standard()
    for readable in [(CLASSES,), (1,), (1, 2, 3), ALL]:
        mask = np.isin(ROW_CLASSES, readable)
        for found in index.search(QUERIES[:2], top_k=5, access=access(*readable)):
            assert found.plan.readable == mask.sum()
            assert found.plan.name not in {"", "none"}
            assert found.plan.scanned == -1 or found.plan.scanned >= len(found.rows)
        narrowed = index.search(QUERIES[:1], top_k=5, access=access(*readable), where=where)[0]
        assert narrowed.plan.readable == (mask & where).sum()


def the_plan_is_none_where_nothing_may_be_read(bench: Bench) -> None:
    found = bench.standard().search(QUERIES[:1], top_k=5, access=access())[0]
    assert found.plan == Plan("none", 0, 0)


# Scores of given rows


def scores_are_the_inner_products(bench: Bench) -> None:
    index = bench.standard()
    for rows in ([5, 0, 399, 11], [3], list(range(ROWS))):
        numbers = np.array(rows, dtype=np.int64)
        np.testing.assert_allclose(index.scores(QUERIES[1:2], numbers), VECTORS[numbers] @ QUERIES[1], atol=1e-6)


def scores_of_a_row_asked_for_twice_come_twice(bench: Bench) -> None:
    scores = bench.standard().scores(QUERIES[1:2], np.array([9, 4, 9], dtype=np.int64))
    assert (len(scores), scores[0]) == (3, scores[2])


def scores_of_no_rows_are_none(bench: Bench) -> None:
    scores = bench.standard().scores(QUERIES[:1], np.empty(0, np.int64))
    assert (scores.tolist(), scores.dtype) == ([], np.float32)


def scores_of_equal_vectors_are_equal_to_the_last_bit(bench: Bench) -> None:
    scores = bench.standard().scores(QUERIES[1:2], np.arange(TWINS, dtype=np.int64))
    assert len(set(scores.tolist())) == 1


def scores_agree_with_those_of_the_search(bench: Bench) -> None:
    index = bench.standard()
    for query, found in zip(QUERIES, index.search(QUERIES, top_k=20, access=access(1, 2)), strict=True):
        np.testing.assert_allclose(index.scores(query[None], found.rows), found.scores, atol=1e-6)


def norms_are_the_lengths_that_were_stored(bench: Bench) -> None:
    """A vector that is not of unit length shows: nothing is normalised behind the caller's back."""
    np.testing.assert_allclose(bench.standard().norms(), np.ones(ROWS), atol=1e-5)
    lengths = np.linspace(0.1, 0.9, 50, dtype=np.float32)
    crooked = bench.make(VECTORS[:50] * lengths[:, None], ROW_CLASSES[:50])
    np.testing.assert_allclose(crooked.norms(), lengths, atol=1e-5)


# Builds


def an_index_tells_its_size(bench: Bench) -> None:
    assert (len(bench.standard()), bench.standard().dim) == (ROWS, DIM)


def an_empty_index_finds_nothing(bench: Bench) -> None:
    index = bench.make(VECTORS[:0], ROW_CLASSES[:0])
    assert [len(found.rows) for found in index.search(QUERIES[:2], top_k=5, access=access(1))] == [0, 0]
    assert (len(index), index.dim, index.norms().tolist()) == (0, DIM, [])


def an_index_of_one_row_finds_it(bench: Bench) -> None:
    index = bench.make(VECTORS[:1], np.array([4], np.int32))
    assert [found.rows.tolist() for found in index.search(QUERIES[:2], top_k=5, access=access(4))] == [[0], [0]]
    assert [found.rows.tolist() for found in index.search(QUERIES[:2], top_k=5, access=access(3))] == [[], []]


def vectors_may_have_any_length(bench: Bench) -> None:
    for dim in (1, 3, 384):
        vectors, queries = unit(60, dim, dim), unit(4, dim + 1, dim)
        index = bench.make(vectors, ROW_CLASSES[:60])
        found = index.search(queries, top_k=7, access=access(1, 2, 3))
        check_same(found, exact(queries, np.isin(ROW_CLASSES[:60], (1, 2, 3)), 7, vectors))


def blocks_of_any_size_give_the_same_index(bench: Bench) -> None:
    wanted = exact(QUERIES, np.isin(ROW_CLASSES, (1, 2)), 10)
    for cuts in ([5], [0, 1, 399], list(range(50, ROWS, 50))):
        path = bench.build(VECTORS, ROW_CLASSES, blocks=iter(np.split(VECTORS, cuts)))
        check_same(bench.open(path, ROW_CLASSES).search(QUERIES, top_k=10, access=access(1, 2)), wanted)


def more_rows_than_a_batch_are_all_there(bench: Bench) -> None:
    vectors = unit(3000, 4)
    classes = (np.arange(3000) % 10).astype(np.int32)
    index = bench.make(vectors, classes)
    check_same(
        index.search(QUERIES[:5], top_k=20, access=access(0, 9)),
        exact(QUERIES[:5], np.isin(classes, (0, 9)), 20, vectors),
    )
    assert sorted(index.search(QUERIES[:1], top_k=3000, access=access(3))[0].rows.tolist()) == list(range(3, 3000, 10))


def reopening_gives_the_same_bytes(bench: Bench) -> None:
    check_identical(
        bench.standard().search(QUERIES, top_k=10, access=access(1, 2)),
        bench.standard().search(QUERIES, top_k=10, access=access(1, 2)),
    )


def a_build_may_be_renamed_once_it_is_written(bench: Bench) -> None:
    """Builds are written aside."""
    path = bench.build(VECTORS, ROW_CLASSES)
    moved = path.parent.rename(path.parent.with_name("renamed" + path.parent.name)) / path.name
    check_same(
        bench.open(moved, ROW_CLASSES).search(QUERIES, top_k=10, access=access(1)),
        exact(QUERIES, ROW_CLASSES == 1, 10),
    )


def opening_and_searching_changes_no_file(bench: Bench) -> None:
    """A build's files are what its manifest says, byte for byte."""
    path = bench.build(VECTORS, ROW_CLASSES)

    def digests() -> dict[Path, str]:
        files = [file for file in sorted(path.parent.rglob("*")) if file.is_file() and file.suffix != ".lock"]
        return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    before = digests()
    index = bench.open(path, ROW_CLASSES)
    index.search(QUERIES, top_k=10, access=access(1))
    index.assign_classes(ROW_CLASSES[::-1].copy())
    index.search(QUERIES, top_k=10, access=access(1))
    assert digests() == before


def check_damage(bench: Bench, content: Callable[[bytes], bytes] | None) -> None:
    """Each file of an index, damaged alone, is noticed at opening."""
    path = bench.build(VECTORS, ROW_CLASSES)
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        whole = file.read_bytes()
        file.unlink()
        if content is not None:
            file.write_bytes(content(whole))
        with pytest.raises(BuildCorrupt, match="--full"):
            bench.open(path)
        file.write_bytes(whole)
    bench.open(path)


def a_missing_file_is_a_corrupt_build(bench: Bench) -> None:
    check_damage(bench, None)


def an_empty_file_is_a_corrupt_build(bench: Bench) -> None:
    check_damage(bench, lambda _: b"")


def a_torn_file_is_a_corrupt_build(bench: Bench) -> None:
    check_damage(bench, lambda whole: whole[: len(whole) // 2])


def a_foreign_file_is_a_corrupt_build(bench: Bench) -> None:
    check_damage(bench, lambda _: b"x" * 4000)


# Many readers, many data


def readers_side_by_side_get_right_answers(bench: Bench) -> None:
    index = bench.standard()
    readable = [(1,), (2, 3), ALL, (CLASSES,)]
    wanted = [exact(QUERIES, np.isin(ROW_CLASSES, classes), 10) for classes in readable]

    def search(number: int) -> list[Found]:
        return index.search(QUERIES, top_k=10, access=access(*readable[number % 4]))

    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(search, range(32))):
            check_same(found, wanted[number % 4])


def readers_beside_moving_rights_see_old_or_new_ones_whole(bench: Bench) -> None:
    """A search that runs while rights move answers by those before or those after, never by a mixture."""
    index = bench.standard()
    states = [ROW_CLASSES, np.where(ROW_CLASSES > 0, CLASSES - ROW_CLASSES, UNREADABLE).astype(np.int32)]
    wanted = [[one.rows.tolist() for one in exact(QUERIES, state == 2, 10)] for state in states]
    assert wanted[0] != wanted[1]

    def search(_: int) -> list[list[int]]:
        return [one.rows.tolist() for one in index.search(QUERIES, top_k=10, access=access(2))]

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(search, number) for number in range(24)]
        for number in range(24):
            index.assign_classes(states[number % 2])
        assert all(answer.result() in wanted for answer in answers)


def any_data_are_searched_exactly(bench: Bench) -> None:
    """Vectors of few values, so that ties are everywhere and sums are exact, under any rights, mask and `top_k`."""
    grid = np.random.default_rng(12).integers(-1, 2, size=(90, 4)).astype(np.float32) / 2
    index = bench.make(grid, np.ones(90, np.int32))

    @settings(max_examples=40, deadline=None)
    @given(
        classes=st.lists(st.integers(UNREADABLE, 4), min_size=90, max_size=90),
        readable=st.sets(st.integers(UNREADABLE, 5), max_size=5),
        masked=st.none() | st.integers(1, 2**90 - 1),
        top_k=st.integers(1, 120),
        query=st.lists(st.sampled_from([-0.5, 0.0, 0.5]), min_size=4, max_size=4),
    )
    def search(classes: list[int], readable: set[int], masked: int | None, top_k: int, query: list[float]) -> None:
        rows = np.array(classes, np.int32)
        where = None if masked is None else np.array([masked >> row & 1 for row in range(90)], dtype=bool)
        queries = np.array([query], np.float32)
        mask = np.isin(rows, list(readable - {UNREADABLE})) & (True if where is None else where)
        index.assign_classes(rows)
        found = index.search(queries, top_k=top_k, access=access(*readable), where=where)
        check_same(found, exact(queries, mask, top_k, grid))

    search()


CLAUSES: list[Clause] = [
    no_class_reads_nothing, a_class_that_no_row_has_reads_nothing, a_class_of_one_row_gives_that_row,
    one_class_is_searched_exactly, some_classes_are_searched_exactly, nearly_all_rows_are_searched_exactly,
    all_classes_are_searched_exactly, unknown_classes_beside_known_ones_change_nothing, an_unreadable_row_never_comes,
    class_zero_is_a_class, many_classes_with_far_numbers_are_told_apart, only_the_worst_rows_are_readable,
    ties_come_by_ascending_row, a_tie_at_the_border_is_cut_by_row, ties_among_readable_rows_skip_the_others,
    rows_that_are_all_alike_come_by_ascending_row, a_zero_query_ties_with_everything, near_ties_keep_their_order,
    where_is_anded_with_access, where_nothing_passes_gives_nothing, where_everything_passes_changes_nothing,
    where_one_row_passes_gives_that_row, where_all_but_one_row_pass_that_one_is_missing, where_opens_nothing,
    where_the_callers_mask_stays_as_it_is, where_for_another_number_of_rows_is_refused, where_ties_are_cut_by_row,
    one_row_is_wanted, as_many_are_wanted_as_are_readable, more_are_wanted_than_are_readable,
    more_are_wanted_than_there_are, fewer_wanted_are_the_head_of_more,
    rights_are_required, rights_for_another_number_of_rows_are_refused, rights_move_without_a_rebuild,
    a_right_taken_away_holds_for_the_next_search, a_right_given_holds_for_the_next_search, two_classes_change_places,
    all_rights_are_taken_and_given_back, the_classes_of_the_build_decide_nothing, rights_scattered_over_single_rows_hold,
    two_openings_hold_rights_of_their_own,
    queries_of_another_length_are_refused, queries_that_are_no_numbers_are_refused, no_queries_get_no_answers,
    a_short_query_finds_what_its_direction_finds, an_opposite_query_scores_below_zero,
    queries_may_lie_scattered_in_memory, queries_are_not_written_to, queries_beside_a_query_change_nothing,
    the_same_search_gives_the_same_bytes,
    results_are_int64_and_float32, scores_descend_within_one, rows_come_once, the_plan_counts_the_readable_rows,
    the_plan_is_none_where_nothing_may_be_read,
    scores_are_the_inner_products, scores_of_a_row_asked_for_twice_come_twice, scores_of_no_rows_are_none,
    scores_of_equal_vectors_are_equal_to_the_last_bit, scores_agree_with_those_of_the_search,
    norms_are_the_lengths_that_were_stored,
    an_index_tells_its_size, an_empty_index_finds_nothing, an_index_of_one_row_finds_it, vectors_may_have_any_length,
    blocks_of_any_size_give_the_same_index, more_rows_than_a_batch_are_all_there, reopening_gives_the_same_bytes,
    a_build_may_be_renamed_once_it_is_written, opening_and_searching_changes_no_file,
    a_missing_file_is_a_corrupt_build, an_empty_file_is_a_corrupt_build, a_torn_file_is_a_corrupt_build,
    a_foreign_file_is_a_corrupt_build,
    readers_side_by_side_get_right_answers, readers_beside_moving_rights_see_old_or_new_ones_whole,
    any_data_are_searched_exactly,
]  # fmt: skip
