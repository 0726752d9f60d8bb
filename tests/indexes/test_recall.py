"""The sampler: what it estimates is the recall that a comparison by hand gives, and nobody who searches waits for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from indexes import coded_rows, faiss, recall
from indexes.access import AccessFilter, BoolVector
from indexes.builds import Build, BuildConfig, ChunkKey, Corpus, write_build
from indexes.faiss import FaissBackend, FaissIndex
from indexes.recall import ExactIndex, RecallSampler, hits
from indexes.search import SearchMode, search_rows
from indexes.vectors import Found, Plan, VectorOptions
from indexes.vocabulary import Principal

ROWS, DIM, TOP = 6000, 32, 10
RANDOM = np.random.default_rng(8)
VECTORS = RANDOM.normal(size=(ROWS, DIM)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
CLASSES = (np.arange(ROWS) % 3 + 1).astype(np.int32)
QUERIES = VECTORS[:40]
SCAN = Plan("scan", 4000, 4000)


def access(*classes: int) -> AccessFilter:
    return AccessFilter("t", Principal("t", "user:a"), frozenset(classes))


READER = access(1, 2)


@pytest.fixture(autouse=True)
def small_is_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some thousand rows are searched as hundred thousands are, and checks follow each other at once."""
    monkeypatch.setattr(faiss, "CODED_FROM", 1000)
    monkeypatch.setattr(faiss, "EXACT_ROWS", 100)
    monkeypatch.setattr(coded_rows, "TOPICS_COST", 3000)
    monkeypatch.setattr(recall, "_REST", 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("index") / "vectors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faiss, "CODED_FROM", 1000)
        FaissBackend(VectorOptions()).build([VECTORS], DIM, path, classes=CLASSES)
    return path


@pytest.fixture
def index(folder: Path) -> FaissIndex:
    opened = FaissBackend(VectorOptions()).open(folder)
    opened.assign_classes(CLASSES)
    return opened


class Gate:
    """An index whose exact search waits until it is let through, and remembers what it was asked for."""

    def __init__(self, index: FaissIndex) -> None:
        self.index, self.started, self.opened = index, Event(), Event()
        self.asked: list[dict[str, Any]] = []

    def exact(self, queries: np.ndarray, **asked: Any) -> list[Found]:
        self.asked.append(asked)
        self.started.set()
        assert self.opened.wait(30)
        return self.index.exact(queries, **asked)


def sample(
    sampler: RecallSampler,
    index: object,
    found: Found,
    query: np.ndarray = QUERIES[:1],
    *,
    where: BoolVector | None = None,
    unchanged: Callable[[], bool] = lambda: True,
) -> None:
    sampler.searched(index, query, found, top_k=TOP, access=READER, where=where, unchanged=unchanged)


def totals(sampler: RecallSampler) -> tuple[int, int, int, int]:
    """Searches, checks, hits and expected of all plans."""
    every = sampler.counts().values()
    return (
        sum(one.searches for one in every), sum(one.checked for one in every), sum(one.hits for one in every),
        sum(one.expected for one in every),
    )  # fmt: skip


def worse(index: FaissIndex, missing: int) -> Found:
    """The exact answer to the first query, but for its last rows, in whose place others stand."""
    [best] = index.exact(QUERIES[:1], top_k=TOP + missing, access=READER)
    kept = np.r_[0 : TOP - missing, TOP : TOP + missing]
    return Found(best.rows[kept], best.scores[kept], SCAN)


def test_the_estimate_is_the_share_that_a_comparison_by_hand_finds(index: FaissIndex) -> None:
    sampler, found_rows, true_rows = RecallSampler(1), 0, 0
    where = RANDOM.random(ROWS) < 0.9
    for number in range(len(QUERIES)):
        query = QUERIES[number : number + 1]
        [found] = index.search(query, top_k=TOP, access=READER, where=where)
        assert found.plan.name in {"scan", "topics"}, "the search was exact: the test shows nothing"
        sample(sampler, index, found, query, where=where)
        sampler.wait()
        allowed = np.flatnonzero(np.isin(CLASSES, [1, 2]) & where)
        order = np.argsort(-(VECTORS[allowed] @ query[0]), kind="stable")[:TOP]
        found_rows += len(np.intersect1d(found.rows, allowed[order]))
        true_rows += TOP
    assert totals(sampler) == (len(QUERIES), len(QUERIES), found_rows, true_rows)


@pytest.mark.parametrize("missing", [0, 1, 7, TOP])
def test_rows_that_were_not_found_are_missed(index: FaissIndex, missing: int) -> None:
    sampler = RecallSampler(1)
    sample(sampler, index, worse(index, missing))
    sampler.wait()
    assert totals(sampler) == (1, 1, TOP - missing, TOP)


def test_of_equal_rows_any_will_do() -> None:
    expected = Found(np.array([3, 4, 5]), np.array([0.9, 0.5, 0.5], np.float32), SCAN)
    for rows, scores, count in (
        ([3, 8, 9], [0.9, 0.5, 0.49999997], 3),
        ([3, 8, 9], [0.9, 0.5, 0.4999], 2),
        ([3], [0.9], 1),
        ([], [], 0),
    ):
        assert hits(Found(np.array(rows, np.int64), np.array(scores, np.float32), SCAN), expected) == count
    nothing = Found(np.empty(0, np.int64), np.empty(0, np.float32), SCAN)
    assert hits(nothing, nothing) == 0


@pytest.mark.parametrize(("every", "checks"), [(0, 0), (1, 10), (3, 3), (10, 1), (11, 0)])
def test_every_so_manieth_search_is_checked(index: FaissIndex, every: int, checks: int) -> None:
    sampler, found = RecallSampler(every), worse(index, 1)
    for _ in range(10):
        sample(sampler, index, found)
        sampler.wait()
    assert totals(sampler) == (10, checks, checks * (TOP - 1), checks * TOP)
    assert sampler.dropped == 0


def test_exact_searches_and_indexes_without_one_are_counted_and_never_checked(index: FaissIndex) -> None:
    sampler = RecallSampler(1)
    [exact] = index.exact(QUERIES[:1], top_k=TOP, access=READER)
    [nothing] = index.search(QUERIES[:1], top_k=TOP, access=access())
    for one, found in ((index, exact), (index, nothing), (object(), worse(index, 2))):
        sample(sampler, one, found)
        sampler.wait()
    assert isinstance(index, ExactIndex)
    assert {name: (one.searches, one.checked) for name, one in sampler.counts().items()} == {
        "exact": (1, 0), "none": (1, 0), "scan": (1, 0),
    }  # fmt: skip
    assert sampler.dropped == 0


def test_nobody_waits_for_a_check_and_one_at_most_runs(index: FaissIndex) -> None:
    sampler, gate = RecallSampler(1), Gate(index)
    where = np.ones(ROWS, bool)
    sample(sampler, gate, worse(index, 3), where=where)
    assert gate.started.wait(30)
    for _ in range(5):
        sample(sampler, gate, worse(index, 3))  # would hang here
    assert (totals(sampler), sampler.dropped) == ((6, 0, 0, 0), 5)
    gate.opened.set()
    sampler.wait()
    assert (totals(sampler), sampler.dropped) == ((6, 1, TOP - 3, TOP), 5)
    assert gate.asked == [{"top_k": TOP, "access": READER, "where": where}], "the check asks for what the search did"


def test_after_a_check_the_sampler_rests(index: FaissIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "_REST", 10**9)
    sampler = RecallSampler(1)
    for _ in range(3):
        sample(sampler, index, worse(index, 0))
        sampler.wait()
    assert (totals(sampler)[1], sampler.dropped) == (1, 2)


def test_a_check_under_other_rights_does_not_count(index: FaissIndex) -> None:
    sampler = RecallSampler(1)
    sample(sampler, index, worse(index, 3), unchanged=lambda: False)
    sampler.wait()
    assert (totals(sampler), sampler.dropped) == ((1, 0, 0, 0), 1)


def test_a_check_that_fails_is_logged_without_a_word_of_why_and_the_next_one_runs(
    index: FaissIndex, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def exact(self, queries: np.ndarray, **asked: Any) -> list[Found]:
            raise OSError("secret")

    sampler = RecallSampler(1)
    with caplog.at_level(logging.WARNING, "loremill.recall"):
        sample(sampler, Broken(), worse(index, 3))
        sampler.wait()
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text
    sample(sampler, index, worse(index, 3))
    sampler.wait()
    assert (totals(sampler), sampler.dropped) == ((2, 1, TOP - 3, TOP), 1)


def test_rows_are_told_by_order_of_magnitude() -> None:
    sampler, empty = RecallSampler(0), np.empty(0, np.int64)
    for readable, scanned in ((0, 0), (1, -1), (2, 10), (11, 10**9)):
        plan = Plan("scan", readable, scanned)
        sample(sampler, object(), Found(empty, empty.astype(np.float32), plan))
    counts = sampler.counts()["scan"]
    assert counts.readable == [2, 1, 1, 0, 0, 0, 0, 0, 0]
    assert counts.scanned == [1, 1, 0, 0, 0, 0, 0, 0, 1]


def test_many_threads_lose_no_count(index: FaissIndex) -> None:
    sampler, found = RecallSampler(10), worse(index, 2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: sample(sampler, index, found), range(1600)))
    sampler.wait()
    searches, checks, found_rows, true_rows = totals(sampler)
    assert (searches, checks + sampler.dropped) == (1600, 160)
    assert (found_rows, true_rows) == (checks * (TOP - 2), checks * TOP)
    assert checks


# -- over a build, whose rights change -------------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path: Path, listed: Callable[..., Corpus]) -> Build:
    keys = [ChunkKey(f"{row:032x}", f"doc-{row % 12}", f"hash-{row}") for row in range(ROWS)]
    corpus = listed(keys, VECTORS, [("", "leave")] * ROWS, dict.fromkeys((f"doc-{n}" for n in range(12)), 1))
    manifest = write_build(tmp_path, corpus, config=BuildConfig("test/1", DIM, "cut/1", "faiss"))
    opened = Build(tmp_path / manifest.build_id)
    opened.carry_rights(lambda _: {f"doc-{n}": 1 for n in range(12)}, epoch=1)
    return opened


def find(build: Build, sampler: RecallSampler) -> None:
    search_rows(
        build, "leave", vector=QUERIES[:1], top_k=TOP, mode=SearchMode.DENSE, access=access(1), recall=sampler
    )  # fmt: skip


@pytest.mark.parametrize(("epoch", "checked"), [(1, 1), (2, 0)])
def test_rights_that_change_between_search_and_check_drop_it(
    build: Build, monkeypatch: pytest.MonkeyPatch, epoch: int, checked: int
) -> None:
    sampler, gate = RecallSampler(1), Event()
    exact = FaissIndex.exact

    def late(self: FaissIndex, *arguments: Any, **more: Any) -> list[Found]:
        assert gate.wait(30)
        return exact(self, *arguments, **more)

    monkeypatch.setattr(FaissIndex, "exact", late)
    find(build, sampler)
    build.carry_rights(
        lambda _: {"doc-1": 2, "doc-2": 2}, epoch=epoch
    )  # of an epoch it carries already it takes nothing
    gate.set()
    sampler.wait()
    assert (totals(sampler)[1], sampler.dropped) == (checked, 1 - checked)


def test_rights_that_are_just_being_carried_in_drop_it_too(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors have the new rights already, the build's epoch is still the old one."""
    sampler, half_way, go_on, gate = RecallSampler(1), Event(), Event(), Event()
    exact, assign = FaissIndex.exact, type(build.lexical).assign_classes

    def late(self: FaissIndex, *arguments: Any, **more: Any) -> list[Found]:
        assert half_way.wait(30)
        try:
            return exact(self, *arguments, **more)
        finally:
            gate.set()

    def slow(self: Any, classes: Any) -> None:
        half_way.set()
        assert go_on.wait(30)
        assign(self, classes)

    monkeypatch.setattr(FaissIndex, "exact", late)
    find(build, sampler)
    monkeypatch.setattr(type(build.lexical), "assign_classes", slow)
    with ThreadPoolExecutor(1) as pool:
        carried = pool.submit(build.carry_rights, lambda _: {"doc-1": 2}, epoch=2)
        assert gate.wait(30)
        assert (build.epoch, sampler.dropped, totals(sampler)[1]) == (1, 0, 0)
        go_on.set()
        carried.result(30)
    sampler.wait()
    assert (totals(sampler)[1], sampler.dropped) == (0, 1)
