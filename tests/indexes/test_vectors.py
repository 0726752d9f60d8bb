"""The contract of a vector index. Each backend passes it against exact search in numpy, and broken ones fail it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from indexes.access import UNREADABLE, AccessFilter
from indexes.arrays import Float32Matrix
from indexes.errors import BuildCorrupt, ConfigError, DimensionMismatch, UnsupportedFilter
from indexes.faiss import FaissIndex
from indexes.vectors import BACKENDS, Found, Plan, VectorIndex, VectorOptions, resolved, vector_backend
from indexes.vocabulary import Principal

ROWS, DIM, CLASSES = 400, 16, 8
TWINS = 40
"""Rows 0..TWINS-1 are one and the same vector."""

MakeIndex = Callable[[Float32Matrix], VectorIndex]


def access(*classes: int) -> AccessFilter:
    return AccessFilter("t", Principal("t", "user:a"), frozenset(classes))


def unit(rows: int, seed: int) -> Float32Matrix:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VECTORS = unit(ROWS, 1)
VECTORS[:TWINS] = VECTORS[0]
QUERIES = np.vstack([VECTORS[:1], unit(30, 2)])
ROW_CLASSES = np.random.default_rng(3).integers(1, CLASSES, size=ROWS).astype(np.int32)
ROW_CLASSES[7] = CLASSES  # the only row of its class
ROW_CLASSES[11] = UNREADABLE


def exact(queries: Float32Matrix, mask: npt.NDArray[np.bool_], top_k: int) -> list[Found]:
    found = []
    for query in queries:
        rows = np.flatnonzero(mask)
        scores = np.einsum("ij,j->i", VECTORS, query)[rows]
        order = np.lexsort((rows, -scores))[:top_k]
        found.append(Found(rows[order], scores[order], Plan("exact", len(rows), len(rows))))
    return found


def check_same(found: list[Found], wanted: list[Found]) -> None:
    assert len(found) == len(wanted)
    for here, there in zip(found, wanted, strict=True):
        assert here.rows.tolist() == there.rows.tolist()
        np.testing.assert_allclose(here.scores, there.scores, atol=1e-5)
        assert here.rows.dtype == np.int64
        assert here.scores.dtype == np.float32
        assert here.plan.readable == there.plan.readable


def selectivities(index: VectorIndex) -> None:
    """Every selectivity gives what exact search over the readable rows gives: none, one row, one class, most, all."""
    index.assign_classes(ROW_CLASSES)
    for readable in [(), (99,), (CLASSES,), (1,), (1, 2, 3), tuple(range(1, CLASSES)), tuple(range(1, CLASSES + 1))]:
        mask = np.isin(ROW_CLASSES, readable)
        found = index.search(QUERIES, top_k=10, access=access(*readable))
        check_same(found, exact(QUERIES, mask, 10))


def ties(index: VectorIndex) -> None:
    """Equal scores come by ascending row, also at the border of `top_k`, and however many there are."""
    index.assign_classes(ROW_CLASSES)
    for readable in [tuple(range(1, CLASSES + 1)), (1, 2, 3)]:
        twins = [row for row in range(TWINS) if ROW_CLASSES[row] in readable]
        for top_k in (1, 3, len(twins)):
            rows = index.search(VECTORS[:1], top_k=top_k, access=access(*readable))[0].rows
            assert rows.tolist() == twins[:top_k]


def where_is_anded(index: VectorIndex) -> None:
    """A metadata mask narrows what access admits and opens nothing."""
    index.assign_classes(ROW_CLASSES)
    where = np.arange(ROWS) % 3 == 0
    found = index.search(QUERIES, top_k=10, access=access(1, 2), where=where)
    check_same(found, exact(QUERIES, where & np.isin(ROW_CLASSES, (1, 2)), 10))
    nothing = index.search(QUERIES, top_k=10, access=access(1, 2), where=np.zeros(ROWS, dtype=bool))
    assert [len(found.rows) for found in nothing] == [0] * len(QUERIES)
    assert where.sum() == (ROWS + 2) // 3, "the caller's mask was written to"


def fewer_than_wanted(index: VectorIndex) -> None:
    """Where fewer rows are readable than wanted, all of them come."""
    index.assign_classes(ROW_CLASSES)
    for found in index.search(QUERIES, top_k=ROWS * 2, access=access(1)):
        assert sorted(found.rows.tolist()) == np.flatnonzero(ROW_CLASSES == 1).tolist()


def rights_move_without_a_rebuild(index: VectorIndex) -> None:
    """Assigning other classes changes the next search, and nothing else."""
    for shift in (0, 1, 2):
        moved = np.where(ROW_CLASSES > 0, (ROW_CLASSES + shift) % CLASSES + 1, ROW_CLASSES).astype(np.int32)
        index.assign_classes(moved)
        check_same(index.search(QUERIES, top_k=10, access=access(3)), exact(QUERIES, moved == 3, 10))


def classes_are_required(index: VectorIndex) -> None:
    """An index that was told no rights does not search at all."""
    with pytest.raises(UnsupportedFilter):
        index.search(QUERIES, top_k=1, access=access(1))


def shapes_are_checked(index: VectorIndex) -> None:
    """Queries of another length, or classes for another number of rows, are refused."""
    index.assign_classes(ROW_CLASSES)
    for shape in [(1, DIM + 1), (1, DIM - 1), (DIM,)]:
        with pytest.raises(DimensionMismatch):
            index.search(np.zeros(shape, np.float32), top_k=1, access=access(1))
    with pytest.raises(BuildCorrupt):
        index.assign_classes(ROW_CLASSES[:-1])


def scores_are_exact(index: VectorIndex) -> None:
    """`scores` gives the inner products of the rows asked for, in their order; `norms` the lengths of all."""
    rows = np.array([5, 0, 399, 11], dtype=np.int64)
    np.testing.assert_allclose(index.scores(QUERIES[1:2], rows), VECTORS[rows] @ QUERIES[1], atol=1e-6)
    assert index.scores(QUERIES[:1], rows[:0]).tolist() == []
    twins = index.scores(QUERIES[1:2], np.arange(TWINS, dtype=np.int64))
    assert len(set(twins.tolist())) == 1, "equal vectors must score equal, to the last bit"
    np.testing.assert_allclose(index.norms(), np.ones(ROWS), atol=1e-5)
    assert len(index) == ROWS


CONTRACT = [
    selectivities, ties, where_is_anded, fewer_than_wanted, rights_move_without_a_rebuild, classes_are_required,
    shapes_are_checked, scores_are_exact,
]  # fmt: skip


@pytest.fixture(params=sorted(BACKENDS))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeIndex:
    """Builds and opens an index over rows with the backend under test."""

    def make_(vectors: Float32Matrix) -> VectorIndex:
        backend = vector_backend(request.param, VectorOptions(device="cpu"))
        backend.build([vectors], vectors.shape[1], tmp_path / "vectors.index", classes=ROW_CLASSES[: len(vectors)])
        return backend.open(tmp_path / "vectors.index")

    return make_


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
def test_every_backend_keeps_the_contract(make: MakeIndex, clause: Callable[[VectorIndex], None]) -> None:
    clause(make(VECTORS))


def test_an_empty_index_finds_nothing(make: MakeIndex) -> None:
    index = make(VECTORS[:0])
    index.assign_classes(ROW_CLASSES[:0])
    assert [len(found.rows) for found in index.search(QUERIES[:2], top_k=5, access=access(1))] == [0, 0]
    assert (len(index), index.dim, index.norms().tolist()) == (0, DIM, [])


def test_the_answer_to_a_query_does_not_depend_on_the_queries_beside_it(make: MakeIndex) -> None:
    index = make(VECTORS)
    index.assign_classes(ROW_CLASSES)
    together = index.search(QUERIES, top_k=20, access=access(1, 2))
    check_same(together, [index.search(query[None], top_k=20, access=access(1, 2))[0] for query in QUERIES])


@pytest.mark.parametrize("damage", ["missing", "empty", "torn", "foreign"])
def test_a_damaged_file_is_reported_as_a_corrupt_build(tmp_path: Path, make: MakeIndex, damage: str) -> None:
    make(VECTORS)
    path = tmp_path / "vectors.index"
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "torn": whole[: len(whole) // 2], "foreign": b"x" * 4000}[damage])
    with pytest.raises(BuildCorrupt, match="--full"):
        vector_backend("faiss").open(path)


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="faiss"):
        vector_backend("annoy")


@pytest.mark.parametrize(
    ("memory", "fault", "chosen"),
    [(0, "", "faiss"), (4 * 1000 * 384, "", "cuda"), (4 * 1000 * 384 - 1, "", "faiss"), (1 << 40, "no torch", "faiss")],
)
def test_auto_is_cuda_where_a_device_has_room_else_faiss(
    monkeypatch: pytest.MonkeyPatch, memory: int, fault: str, chosen: str
) -> None:
    monkeypatch.setattr("indexes.device.cuda_memory", lambda: memory)
    monkeypatch.setattr("indexes.cuda.CudaBackend.unavailable", lambda self: fault)
    assert resolved("auto", vectors=range(1000), dim=384) == chosen
    assert resolved("faiss", vectors=range(1000), dim=384) == "faiss"


class NoFilter(FaissIndex):
    """Forgets who asks."""

    def search(self, queries: Float32Matrix, **options: Any) -> list[Found]:
        return super().search(queries, **{**options, "access": access(*range(1, CLASSES + 1))})


class FilterAfterwards(FaissIndex):
    """Searches everything and drops what may not be read from the ten best."""

    def search(self, queries: Float32Matrix, **options: Any) -> list[Found]:
        readable = options.pop("access").mask(self._classes)
        found = super().search(queries, **options, access=access(*range(1, CLASSES + 1)))
        return [replace(one, rows=one.rows[readable[one.rows]], scores=one.scores[readable[one.rows]]) for one in found]


class LosesOne(FaissIndex):
    """Returns one row too few."""

    def search(self, queries: Float32Matrix, **options: Any) -> list[Found]:
        return [replace(one, rows=one.rows[:-1], scores=one.scores[:-1]) for one in super().search(queries, **options)]


class WrongOrder(FaissIndex):
    """Breaks ties by descending row."""

    def search(self, queries: Float32Matrix, **options: Any) -> list[Found]:
        found = super().search(queries, **options)
        return [replace(one, rows=one.rows[order]) for one in found for order in [np.lexsort((-one.rows, -one.scores))]]


class NoWhere(FaissIndex):
    """Ignores the metadata filter."""

    def search(self, queries: Float32Matrix, **options: Any) -> list[Found]:
        return super().search(queries, **{**options, "where": None})


class StaleRights(FaissIndex):
    """Keeps the rights it was first told."""

    def assign_classes(self, classes: Any) -> None:
        if self._classes is None:
            super().assign_classes(classes)


@pytest.mark.parametrize(
    ("broken", "clause"),
    [(NoFilter, selectivities), (FilterAfterwards, selectivities), (LosesOne, selectivities), (LosesOne, fewer_than_wanted),
     (WrongOrder, ties), (NoWhere, where_is_anded), (StaleRights, rights_move_without_a_rebuild)],
)  # fmt: skip
def test_the_contract_catches_a_broken_backend(
    tmp_path: Path, broken: type[FaissIndex], clause: Callable[[VectorIndex], None]
) -> None:
    backend = vector_backend("faiss")
    backend.build([VECTORS[:5], VECTORS[5:]], VECTORS.shape[1], tmp_path / "vectors.index", classes=ROW_CLASSES)
    opened = backend.open(tmp_path / "vectors.index")
    assert isinstance(opened, FaissIndex)
    with pytest.raises(AssertionError):
        clause(broken(opened._index))
