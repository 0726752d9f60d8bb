"""Search in half precision on a device gives the hits of exact search, also where rounding turns the order and where memory ends.

Everything here runs on the CPU, with the same steps; where there is a CUDA device, on it as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from indexes import half_rows
from indexes.access import UNREADABLE, AccessFilter
from indexes.arrays import Float32Matrix
from indexes.candidates import half_slack
from indexes.cuda import CudaIndex
from indexes.device import cuda_devices
from indexes.errors import BuildCorrupt, IndexBackendError
from indexes.half_rows import HalfRows, Selection
from indexes.mapped_rows import MappedRows, write_rows
from indexes.vectors import Found, VectorOptions, vector_backend
from indexes.vocabulary import Principal

torch = pytest.importorskip("torch", reason="the extra `embed` is not installed")

ROWS, DIM, CLASSES, TOP_K = 20_000, 24, 100, 10
needs_cuda = pytest.mark.skipif(not (cuda_devices() and torch.cuda.is_available()), reason="no CUDA device")
READABLE = {"one": (7,), "tenth": tuple(range(10)), "most": tuple(range(95)), "all": tuple(range(CLASSES))}
PLANS = {"one": "gather", "tenth": "gather", "most": "scan", "all": "scan"}


def access(*classes: int) -> AccessFilter:
    return AccessFilter("t", Principal("t", "user:a"), frozenset(classes))


def unit(vectors: npt.NDArray[np.float64]) -> Float32Matrix:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clusters() -> tuple[Float32Matrix, Float32Matrix]:
    """Rows in clusters so tight that half precision cannot tell their order, and queries beside the centres."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(50, DIM))
    rows = unit(centres[random.integers(0, 50, ROWS)] + 2e-3 * random.normal(size=(ROWS, DIM)))
    rows[100:140] = rows[100]
    return rows, unit(np.vstack([rows[100:101], centres[:20] + 0.1 * random.normal(size=(20, DIM))]))


VECTORS, QUERIES = clusters()
ROW_CLASSES = np.random.default_rng(6).integers(0, CLASSES, ROWS).astype(np.int32)


def exact(
    queries: Float32Matrix, mask: npt.NDArray[np.bool_], top_k: int = TOP_K
) -> list[tuple[list[int], list[float]]]:
    found = []
    for query in queries:
        rows = np.flatnonzero(mask)
        scores = np.clip(np.einsum("ij,j->i", VECTORS, query)[rows], -1, 1)
        order = np.lexsort((rows, -scores))[:top_k]
        found.append((rows[order].tolist(), scores[order].tolist()))
    return found


def same(found: list[Found], wanted: list[tuple[list[int], list[float]]]) -> None:
    assert len(found) == len(wanted)
    for here, (rows, scores) in zip(found, wanted, strict=True):
        assert here.rows.tolist() == rows
        np.testing.assert_allclose(here.scores, scores, atol=1e-6)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "vectors.index"
    write_rows([VECTORS[:7000], VECTORS[7000:]], DIM, path)
    return path


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=needs_cuda)])
def index(request: pytest.FixtureRequest, file: Path) -> CudaIndex:
    opened = vector_backend("cuda", VectorOptions(device=request.param)).open(file)
    assert isinstance(opened, CudaIndex)
    opened.assign_classes(ROW_CLASSES)
    return opened


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    return lambda: [record.getMessage() for record in caplog.records if record.name == "loremill.index"]


def no_room(limit: int) -> Callable[..., Any]:
    """The allocation, on a device that gives at most so many bytes at once."""

    def allocated(shape: tuple[int, ...], dtype: Any, device: Any) -> Any:
        if int(np.prod(shape)) * dtype.itemsize > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.empty(shape, dtype=dtype, device=device)

    return allocated


@pytest.fixture
def grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scan by groups as it is done over millions of rows."""
    monkeypatch.setattr(HalfRows, "groups_pay", lambda self, wanted, count: wanted < -(-count // half_rows.GROUP))


@pytest.mark.parametrize("readable", READABLE)
@pytest.mark.parametrize("top_k", [1, TOP_K, 3000])
def test_hits_are_those_of_exact_search_though_rounding_turns_the_order(
    index: CudaIndex, readable: str, top_k: int
) -> None:
    mask = np.isin(ROW_CLASSES, READABLE[readable])
    found = index.search(QUERIES[:6], top_k=top_k, access=access(*READABLE[readable]))
    same(found, exact(QUERIES[:6], mask, top_k))
    assert {one.plan.name for one in found} == {PLANS[readable]}
    assert {one.plan.readable for one in found} == {int(mask.sum())}


def test_half_precision_alone_would_find_other_rows() -> None:
    """So that the test above can fail."""
    half = VECTORS.astype(np.float16).astype(np.float32)
    rounded = [np.lexsort((np.arange(ROWS), -(half @ query)))[:TOP_K].tolist() for query in QUERIES]
    wanted = [rows for rows, _ in exact(QUERIES, np.ones(ROWS, dtype=bool))]
    assert sum(a != b for a, b in zip(rounded, wanted, strict=True)) > len(QUERIES) // 2


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("readable", READABLE)
@pytest.mark.parametrize("top_k", [1, TOP_K, 70])
def test_the_best_groups_hold_the_best_rows(index: CudaIndex, readable: str, top_k: int) -> None:
    found = index.search(QUERIES, top_k=top_k, access=access(*READABLE[readable]))
    same(found, exact(QUERIES, np.isin(ROW_CLASSES, READABLE[readable]), top_k))


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("share", [0.001, 0.3, 1.0])
def test_a_metadata_mask_narrows_each_plan(index: CudaIndex, share: float) -> None:
    where = np.random.default_rng(8).random(ROWS) < share
    for classes in READABLE.values():
        found = index.search(QUERIES[:3], top_k=TOP_K, access=access(*classes), where=where)
        same(found, exact(QUERIES[:3], where & np.isin(ROW_CLASSES, classes)))


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("budget", [1 << 15, 1 << 18])
def test_hits_do_not_depend_on_how_much_is_scanned_at_a_time(index: CudaIndex, budget: int) -> None:
    index._uploaded().budget = budget
    for classes in READABLE.values():
        same(index.search(QUERIES, top_k=TOP_K, access=access(*classes)), exact(QUERIES, np.isin(ROW_CLASSES, classes)))


@pytest.mark.usefixtures("grouped")
def test_rows_picked_by_number_are_grouped_like_all(index: CudaIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HalfRows, "gather_cost", 1.0)
    found = index.search(QUERIES, top_k=TOP_K, access=access(*READABLE["most"]))
    same(found, exact(QUERIES, ROW_CLASSES < 95))
    assert {one.plan.name for one in found} == {"gather"}


def test_many_queries_are_scanned_in_batches(index: CudaIndex) -> None:
    queries = unit(np.random.default_rng(9).normal(size=(600, DIM)))
    found = index.search(queries, top_k=3, access=access(*range(20)))
    same(found, exact(queries, ROW_CLASSES < 20, 3))


def test_classes_that_no_row_has_and_the_unreadable_one_open_nothing(index: CudaIndex) -> None:
    index.assign_classes(np.where(ROW_CLASSES < 50, ROW_CLASSES, UNREADABLE).astype(np.int32))
    assert index.search(QUERIES[:1], top_k=5, access=access(UNREADABLE, CLASSES + 3, 60))[0].rows.tolist() == []
    same(index.search(QUERIES[:1], top_k=5, access=access(UNREADABLE, 3)), exact(QUERIES[:1], ROW_CLASSES == 3, 5))


def test_lists_of_readable_rows_are_dropped_for_newer_ones(index: CudaIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexes.cuda._KEPT_BYTES", 4 * ROWS // 50)
    for class_id in (*range(10), 0):
        found = index.search(QUERIES[:2], top_k=5, access=access(class_id))
        same(found, exact(QUERIES[:2], class_id == ROW_CLASSES, 5))
    assert index._rights is not None
    assert 0 < len(index._rights.kept) < 5


def test_threads_that_search_while_rights_change_see_one_policy_or_the_other(index: CudaIndex) -> None:
    before, after = np.isin(ROW_CLASSES, (7,)), np.isin((ROW_CLASSES + 1) % CLASSES, (7,))
    allowed = [exact(QUERIES[:2], mask, 5) for mask in (before, after)]

    def search(_: int) -> bool:
        found = [one.rows.tolist() for one in index.search(QUERIES[:2], top_k=5, access=access(7))]
        return any(found == [rows for rows, _ in wanted] for wanted in allowed)

    with ThreadPoolExecutor(4) as threads:
        searches = [threads.submit(search, number) for number in range(40)]
        for number in range(20):
            index.assign_classes(((ROW_CLASSES + number % 2) % CLASSES).astype(np.int32))
        assert all(one.result() for one in searches)


def test_without_room_for_the_rows_the_host_is_searched_and_said_so_once(
    index: CudaIndex, monkeypatch: pytest.MonkeyPatch, warnings: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(half_rows, "allocated", no_room(ROWS))
    for _ in range(2):
        found = index.search(QUERIES, top_k=TOP_K, access=access(*range(10)))
        same(found, exact(QUERIES, ROW_CLASSES < 10))
        assert found[0].plan.name == "host"
    assert [("no room" in text) for text in warnings()] == [True]


def test_with_little_room_the_parts_are_smaller_and_it_is_said_once(
    index: CudaIndex, monkeypatch: pytest.MonkeyPatch, warnings: Callable[[], list[str]]
) -> None:
    index._uploaded().budget = 1 << 30
    everything = access(*range(CLASSES))
    monkeypatch.setattr(half_rows, "allocated", no_room(32 * ROWS))
    for _ in range(2):
        found = index.search(QUERIES, top_k=3000, access=everything)
        same(found, exact(QUERIES, np.ones(ROWS, dtype=bool), 3000))
        assert found[0].plan.name == "scan"
    assert [("smaller parts" in text) for text in warnings()] == [True]


def test_without_any_room_to_search_the_host_takes_over(
    index: CudaIndex, monkeypatch: pytest.MonkeyPatch, warnings: Callable[[], list[str]]
) -> None:
    index.search(QUERIES[:1], top_k=1, access=access(1))
    monkeypatch.setattr(half_rows, "allocated", no_room(1))
    index._uploaded().fused = False
    found = index.search(QUERIES, top_k=TOP_K, access=access(*range(CLASSES)))
    same(found, exact(QUERIES, np.ones(ROWS, dtype=bool)))
    assert found[0].plan.name == "host"
    assert [("smaller parts" in text, "no room" in text) for text in warnings()] == [(True, False), (False, True)]


def test_another_failure_is_not_taken_for_a_lack_of_memory(index: CudaIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(half_rows, "allocated", broken)
    with pytest.raises(RuntimeError, match="illegal"):
        index.search(QUERIES, top_k=TOP_K, access=access(1))


@pytest.mark.skipif(cuda_devices() > 0, reason="a CUDA device is there")
def test_without_a_device_searches_run_on_the_host_and_it_is_said_why(
    file: Path, warnings: Callable[[], list[str]]
) -> None:
    backend = vector_backend("cuda")
    assert "no CUDA device" in backend.unavailable()
    opened = backend.open(file)
    opened.assign_classes(ROW_CLASSES)
    same(opened.search(QUERIES, top_k=TOP_K, access=access(1, 2)), exact(QUERIES, np.isin(ROW_CLASSES, (1, 2))))
    assert len(warnings()) == 1


@pytest.mark.parametrize("scale", [1.0, 1e-3, 30.0])
@pytest.mark.parametrize("dim", [3, 24, 384])
def test_the_bound_on_rounding_holds(dim: int, scale: float) -> None:
    random = np.random.default_rng(dim)
    rows, queries = (
        (scale * unit(random.normal(size=(2000, dim)) * random.lognormal(0, 3, size=(2000, dim)))).astype(np.float32)
        for _ in range(2)
    )
    half = [part.astype(np.float16).astype(np.float32) for part in (queries, rows)]
    apart = np.abs(half[0] @ half[1].T - queries.astype(np.float64) @ rows.T.astype(np.float64)).max(axis=1)
    longest = float(np.linalg.norm(rows, axis=1).max())
    half_error = float(np.linalg.norm(rows - half[1], axis=1).max())
    slack = half_slack(queries, longest=longest, half_error=half_error)
    assert (apart <= slack).all()
    assert (slack <= 1.2e-3 * scale**2 + 2e-7).all(), "so wide a bound would fetch far too much"


@pytest.mark.parametrize("damage", ["missing", "empty", "torn", "longer", "foreign", "headless", "other json"])
def test_a_damaged_file_is_a_corrupt_build(file: Path, tmp_path: Path, damage: str) -> None:
    whole, path = file.read_bytes(), tmp_path / "vectors.index"
    content = {
        "empty": b"", "torn": whole[:-4], "longer": whole + b"1234", "foreign": b"x" * 9000,
        "headless": b" " * 4096 + whole[4096:], "other json": b"{}".ljust(4096) + whole[4096:],
    }.get(damage)  # fmt: skip
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BuildCorrupt, match="--full"):
        MappedRows.open(path)


def test_what_is_no_number_is_refused_when_written_and_noticed_when_read(file: Path, tmp_path: Path) -> None:
    bad = VECTORS[:5].copy()
    bad[3, 1] = np.nan
    with pytest.raises(IndexBackendError, match="vector 3 "):
        write_rows([bad], DIM, tmp_path / "bad.index")
    damaged = bytearray(file.read_bytes())
    damaged[-4:] = np.float32(np.inf).tobytes()
    (tmp_path / "vectors.index").write_bytes(damaged)
    opened = vector_backend("cuda", VectorOptions(device="cpu")).open(tmp_path / "vectors.index")
    opened.assign_classes(ROW_CLASSES)
    with pytest.raises(BuildCorrupt, match="--full"):
        opened.search(QUERIES, top_k=1, access=access(1))


def selections(device: Any) -> list[Selection]:
    allowed = torch.from_numpy(ROW_CLASSES % 3 == 0).to(device)
    ids = torch.from_numpy(np.flatnonzero(ROW_CLASSES == 5).astype(np.int32)).to(device)
    return [
        Selection(ROWS, ROWS), Selection(ROWS, int(allowed.sum()), allowed=allowed), Selection(len(ids), len(ids), ids=ids)
    ]  # fmt: skip


@pytest.mark.parametrize("n_queries", [1, 21, 300])
def test_the_fused_kernel_gives_the_maxima_of_the_steps_in_torch(file: Path, n_queries: int) -> None:
    """Also without a device: `TRITON_INTERPRET=1 pytest ...` runs the kernel's own code in Python."""
    pytest.importorskip("triton", reason="Triton is not installed")
    on_cuda = bool(cuda_devices() and torch.cuda.is_available())
    if not on_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("no CUDA device, and TRITON_INTERPRET=1 is not set")
    from indexes.group_maxima import group_maxima

    half = HalfRows(MappedRows.open(file), "cuda" if on_cuda else "cpu", budget=1 << 26)
    half.fused = False
    queries = torch.zeros((n_queries, half.rows.shape[1]), dtype=torch.float16, device=half.device)
    queries[:, :DIM] = torch.from_numpy(np.resize(QUERIES, (n_queries, DIM))).to(half.device)
    for selection in selections(half.device):
        fused = group_maxima(
            half.rows,
            queries,
            count=selection.count,
            group=half_rows.GROUP,
            ids=selection.ids,
            allowed=selection.allowed,
        )
        torch.testing.assert_close(fused, half._maxima(queries, selection), atol=1e-5, rtol=0)


@pytest.mark.usefixtures("grouped")
def test_a_kernel_that_cannot_run_is_replaced_by_torch(
    index: CudaIndex, monkeypatch: pytest.MonkeyPatch, warnings: Callable[[], list[str]]
) -> None:
    monkeypatch.setitem(sys.modules, "indexes.group_maxima", None)  # importing it fails
    index._uploaded().fused = True
    found = index.search(QUERIES, top_k=TOP_K, access=access(*range(CLASSES)))
    same(found, exact(QUERIES, np.ones(ROWS, dtype=bool)))
    assert [("fused" in text) for text in warnings()] == [True]
